//! The first pages of an LMDB file, looked at before it is mapped into memory: reading a map beyond
//! the end of a file that was cut off would kill the program.
//!
//! A page begins with a header of 16 bytes. On the two meta pages follow: magic (u32), version (u32),
//! address (8), map size (8), two databases of 48 bytes each (the first starts with the page size as
//! u32), the number of the last page used (u64), the number of the transaction (u64).

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

const MAGIC: u32 = 0xbeef_c0de;
const META: usize = 152;

struct Meta {
    page_size: u64,
    last_page: u64,
    transaction: u64,
}

/// Length of the file, when it is whole.
pub fn check(path: &Path) -> Result<u64, String> {
    let shown = path.display();
    let unreadable = |e: std::io::Error| format!("can't read `{shown}`: {e}");
    let mut file = File::open(path).map_err(unreadable)?;
    let length = file.metadata().map_err(unreadable)?.len();
    let mut meta = |at: u64| -> Result<Option<Meta>, String> {
        let mut page = [0; META];
        file.seek(SeekFrom::Start(at)).map_err(unreadable)?;
        match file.read_exact(&mut page) {
            Ok(()) => Ok(parse(&page)),
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => Ok(None),
            Err(e) => Err(unreadable(e)),
        }
    };
    let Some(first) = meta(0)? else {
        return Err(format!("`{shown}` ({length} bytes) does not begin as an LMDB file does"));
    };
    let second = meta(first.page_size)?;
    let newer = match second {
        Some(second) if second.transaction > first.transaction => second,
        _ => first,
    };
    let whole = newer.last_page.saturating_add(1).saturating_mul(newer.page_size);
    if length < whole {
        return Err(format!(
            "`{shown}` is cut off: it has {length} bytes, its own header counts {whole}"
        ));
    }
    Ok(length)
}

fn parse(page: &[u8; META]) -> Option<Meta> {
    let u32_at =
        |at: usize| u32::from_le_bytes([page[at], page[at + 1], page[at + 2], page[at + 3]]);
    let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
    let (magic, page_size) = (u32_at(16), u32_at(40));
    let sane = magic == MAGIC && page_size.is_power_of_two() && (256..=65536).contains(&page_size);
    sane.then(|| Meta {
        page_size: page_size.into(),
        last_page: u64_at(136),
        transaction: u64_at(144),
    })
}
