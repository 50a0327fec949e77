//! Files read whole, and no further than a limit.

use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, IsTerminal, Read};
use std::path::Path;

/// What a device that is no terminal may give: `/dev/null` is empty, `/dev/zero` has no end.
const DEVICE: u64 = 1 << 16;

/// Reads a file, or what comes out of a pipe, of up to `most` bytes.
///
/// # Errors
/// It can't be read, holds more, or is a device without end.
pub fn read_file(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = File::open(path).map_err(|e| absent(path, e))?;
    let metadata = file.metadata()?;
    let is_device = is_device(&metadata) && !file.is_terminal();
    let most = if is_device { most.min(DEVICE) } else { most };
    let mut bytes = Vec::new();
    if metadata.is_file() {
        let length = metadata.len().min(most);
        bytes.try_reserve_exact(usize::try_from(length).unwrap_or(usize::MAX))?;
    }
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 <= most {
        return Ok(bytes);
    }
    let why = match is_device {
        true => "it is a device that has no end, not a file".to_owned(),
        false => format!("it holds more than {most} bytes"),
    };
    Err(io::Error::new(ErrorKind::FileTooLarge, why))
}

/// The same error, unless a link leads nowhere.
pub(crate) fn absent(path: &Path, error: io::Error) -> io::Error {
    match std::fs::read_link(path) {
        Ok(to) if error.kind() == ErrorKind::NotFound => {
            let why = format!("it is a link to `{}`, which is not there", to.display());
            io::Error::new(ErrorKind::NotFound, why)
        }
        _ => error,
    }
}

#[cfg(unix)]
fn is_device(metadata: &Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt;
    let kind = metadata.file_type();
    kind.is_char_device() || kind.is_block_device()
}

#[cfg(not(unix))]
fn is_device(_: &Metadata) -> bool {
    false
}
