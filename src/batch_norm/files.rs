//! Results that are two files, a net and its weights: both are written, or neither.

use std::path::Path;

use cortado_proto::Diagnostic;
use cortado_proto::wire::{Disk, RealDisk, write_file};

use super::trained::Trained;
use crate::Error;
use crate::files::{cannot_write, folder_of};

/// Writes a net's text, and its weights.
///
/// # Errors
/// One of them can't be written; then neither is.
pub fn write_pair(
    net: &Path,
    text: &str,
    weights: &Path,
    trained: &Trained,
) -> Result<Option<Diagnostic>, Error> {
    let mut name = net.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.new", std::process::id()));
    let aside = net.with_file_name(name);
    write_file(&aside, |out| out.write_all(text.as_bytes()))?;
    let written = trained.save(weights).and_then(|note| {
        RealDisk.rename(&aside, net).map_err(|e| cannot_write(net, e.to_string()))?;
        RealDisk.sync_directory(folder_of(net)).map_err(|e| cannot_write(net, e.to_string()))?;
        Ok(note)
    });
    if written.is_err() {
        // Nothing more can be done about a leftover than to try.
        let _ = RealDisk.remove(&aside);
    }
    written
}
