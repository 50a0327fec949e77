//! LMDB files, read page by page, so that what is damaged is an error: the library maps them and trusts
//! them, and a file that was cut or changed would end the program.
//!
//! A page begins with a header of 16 bytes: its number (u64), two bytes, flags (u16), where its free room
//! begins and ends (u16 each; the number of pages, u32, of a value that has pages of its own). On the two
//! meta pages follow: magic (u32), version (u32), address (8), map size (8), two trees of 48 bytes each
//! (the first begins with the page size as u32), the number of the last page used (u64), the number of
//! the transaction (u64). A tree: four bytes, flags (u16), depth (u16), numbers of pages (3 x u64), of
//! entries (u64), its root (u64). Other pages hold places of nodes (u16 each), and nodes: size of the
//! value (u32; with the flags, the number of the page below), flags (u16), size of the key (u16), key,
//! value (or the number of its first page).

use std::fs::File;
use std::path::Path;

const MAGIC: u32 = 0xbeef_c0de;
const META: usize = 152;
const HEADER: usize = 16;
/// Kinds of pages.
const BRANCH: u16 = 1;
const LEAF: u16 = 2;
const OVERFLOW: u16 = 4;
/// A node whose value has pages of its own.
const BIG: u16 = 1;
/// A node and its place on the page, in bytes, without key and value.
const SMALLEST_NODE: usize = 10;
/// No tree of this page size is deeper.
const DEEPEST: u16 = 32;

/// A file as its last transaction left it.
pub(super) struct LmdbFile {
    file: File,
    shown: String,
    page_size: usize,
    /// Number of pages; the last ones may lack in the file, if nobody has used them.
    pages: u64,
    /// Of the file, in bytes.
    length: u64,
    transaction: u64,
    depth: u16,
    root: u64,
    /// Number of records, as the file counts them.
    pub entries: u64,
}

/// A page of the tree.
pub(super) struct Page {
    bytes: Vec<u8>,
    number: u64,
}

/// What went wrong, in one sentence.
type Result<T> = std::result::Result<T, String>;

impl LmdbFile {
    /// Opens a `data.mdb`.
    pub fn open(path: &Path) -> Result<LmdbFile> {
        let shown = path.display().to_string();
        let file = File::open(path).map_err(|e| format!("can't read `{shown}`: {e}"))?;
        let mut this = LmdbFile {
            file,
            shown,
            page_size: 0,
            pages: 0,
            length: 0,
            transaction: 0,
            depth: 0,
            root: 0,
            entries: 0,
        };
        this.renew()?;
        Ok(this)
    }

    /// Looks for a newer transaction; whether there is one.
    pub fn renew(&mut self) -> Result<bool> {
        let length = self.file.metadata().map_err(|e| self.unreadable(&e))?.len();
        let other =
            || format!("`{}` ({length} bytes) does not begin as an LMDB file does", self.shown);
        let first = self.meta(0)?.ok_or_else(other)?;
        let page_size = u32_at(&first, 40) as usize;
        if length < 2 * page_size as u64 {
            let shown = &self.shown;
            return Err(format!("`{shown}` is cut off: it has {length} bytes, no two pages"));
        }
        let second = self.meta(page_size as u64)?.ok_or_else(other)?;
        let newer = if u64_at(&second, 144) > u64_at(&first, 144) { second } else { first };
        let flags = u16_at(&newer, 92);
        if flags & 0x04 != 0 {
            return Err(format!("`{}` has several values to a key; one is read", self.shown));
        }
        let transaction = u64_at(&newer, 144);
        let is_newer = (transaction, page_size) != (self.transaction, self.page_size);
        (self.page_size, self.transaction) = (page_size, transaction);
        (self.pages, self.length) = (u64_at(&newer, 136).saturating_add(1), length);
        (self.depth, self.entries, self.root) =
            (u16_at(&newer, 94), u64_at(&newer, 120), u64_at(&newer, 128));
        Ok(is_newer)
    }

    /// The numbers of the pages that hold records, in the order of the keys.
    pub fn leaves(&self) -> Result<Vec<u64>> {
        let mut leaves = Vec::new();
        if self.entries > 0 {
            if !(1..=DEEPEST).contains(&self.depth) {
                return Err(self.damaged(self.root, "the tree's depth cannot be"));
            }
            self.below(self.root, self.depth, &mut leaves)?;
            // Lists as long as this are made.
            let on_a_page = (self.page_size - HEADER) / SMALLEST_NODE;
            if self.entries > leaves.len() as u64 * on_a_page as u64 {
                let why = format!("its {} records have no room on their pages", self.entries);
                return Err(self.damaged(self.root, &why));
            }
        }
        Ok(leaves)
    }

    fn below(&self, number: u64, depth: u16, leaves: &mut Vec<u64>) -> Result<()> {
        if depth == 1 {
            leaves.push(number);
            let there = self.length / self.page_size as u64;
            return if number >= self.pages {
                Err(self.damaged(number, "there is no such page"))
            } else if number >= there {
                Err(self.cut_off())
            } else if leaves.len() as u64 > there {
                Err(self.damaged(number, "pages come twice"))
            } else {
                Ok(())
            };
        }
        let page = self.page(number, BRANCH)?;
        if page.len() == 0 {
            return Err(self.damaged(number, "it leads nowhere"));
        }
        (0..page.len()).try_for_each(|i| {
            let node = page.node(i).ok_or_else(|| self.damaged(number, "a node lies outside"))?;
            let high = u64::from(node.flags) << 32;
            self.below(u64::from(node.size) | high, depth - 1, leaves)
        })
    }

    /// Number of records on each of these pages.
    pub fn count(&self, leaf: u64) -> Result<usize> {
        let mut header = [0; HEADER];
        self.read(leaf, &mut header)?;
        self.check(&header, leaf, LEAF)?;
        Ok(len(&header))
    }

    /// A page with records.
    pub fn leaf(&self, number: u64) -> Result<Page> {
        self.page(number, LEAF)
    }

    /// A record: key and value.
    pub fn record(&self, page: &Page, index: usize) -> Result<(Vec<u8>, Vec<u8>)> {
        let outside = || self.damaged(page.number, "a record lies outside");
        let node = page.node(index).ok_or_else(outside)?;
        let value = match node.flags {
            0 => node.rest.get(..node.size as usize).ok_or_else(outside)?.to_vec(),
            BIG => {
                let first = node.rest.first_chunk().ok_or_else(outside)?;
                self.big(u64::from_le_bytes(*first), node.size as usize)?
            }
            _ => return Err(self.damaged(page.number, "a record is of a kind that is not read")),
        };
        Ok((node.key.to_vec(), value))
    }

    /// A value on pages of its own.
    fn big(&self, first: u64, size: usize) -> Result<Vec<u8>> {
        let pages = (HEADER + size).div_ceil(self.page_size) as u64;
        if first.checked_add(pages).is_none_or(|end| end > self.pages) {
            return Err(self.damaged(first, "a value goes beyond the end"));
        }
        // Before memory is asked for.
        if (first + pages).saturating_mul(self.page_size as u64) > self.length {
            return Err(self.cut_off());
        }
        let mut bytes = vec![0; HEADER + size];
        self.read(first, &mut bytes)?;
        self.check(&bytes, first, OVERFLOW)?;
        bytes.drain(..HEADER);
        Ok(bytes)
    }

    fn page(&self, number: u64, kind: u16) -> Result<Page> {
        let mut bytes = vec![0; self.page_size];
        self.read(number, &mut bytes)?;
        self.check(&bytes, number, kind)?;
        Ok(Page { bytes, number })
    }

    fn check(&self, page: &[u8], number: u64, kind: u16) -> Result<()> {
        match u64_at(page, 0) == number && u16_at(page, 10) & kind != 0 {
            true => Ok(()),
            false => Err(self.damaged(number, "it is not the page that was wanted")),
        }
    }

    fn read(&self, page: u64, bytes: &mut [u8]) -> Result<()> {
        if page >= self.pages {
            return Err(self.damaged(page, "there is no such page"));
        }
        let at = page.saturating_mul(self.page_size as u64);
        read_at(&self.file, at, bytes).map_err(|e| match e.kind() {
            std::io::ErrorKind::UnexpectedEof => self.cut_off(),
            _ => self.unreadable(&e),
        })
    }

    fn meta(&self, at: u64) -> Result<Option<[u8; META]>> {
        let mut page = [0; META];
        match read_at(&self.file, at, &mut page) {
            Ok(()) => {}
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(e) => return Err(self.unreadable(&e)),
        }
        let (magic, page_size) = (u32_at(&page, 16), u32_at(&page, 40));
        let sizes = 256..=65536;
        let sane = magic == MAGIC && page_size.is_power_of_two() && sizes.contains(&page_size);
        // The second page tells no size of its own in files of some writers.
        Ok((sane || (magic == MAGIC && at > 0)).then_some(page))
    }

    fn unreadable(&self, e: &std::io::Error) -> String {
        format!("can't read `{}`: {e}", self.shown)
    }

    fn cut_off(&self) -> String {
        let (length, whole) = (self.length, self.pages.saturating_mul(self.page_size as u64));
        format!("`{}` is cut off: it has {length} bytes, its own header counts {whole}", self.shown)
    }

    fn damaged(&self, page: u64, why: &str) -> String {
        format!("`{}` is damaged at page {page}: {why}", self.shown)
    }
}

struct Node<'a> {
    size: u32,
    flags: u16,
    key: &'a [u8],
    rest: &'a [u8],
}

impl Page {
    /// Number of nodes.
    pub fn len(&self) -> usize {
        len(&self.bytes)
    }

    fn node(&self, i: usize) -> Option<Node<'_>> {
        let place = self.bytes.get(HEADER + 2 * i..)?.first_chunk()?;
        let node = self.bytes.get(usize::from(u16::from_le_bytes(*place))..)?;
        let (head, rest) = node.split_at_checked(8)?;
        let (key, rest) = rest.split_at_checked(u16_at(head, 6).into())?;
        Some(Node { size: u32_at(head, 0), flags: u16_at(head, 4), key, rest })
    }
}

/// Number of nodes of a page with this header.
fn len(header: &[u8]) -> usize {
    usize::from(u16_at(header, 12)).saturating_sub(HEADER) / 2
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

#[cfg(unix)]
fn read_at(file: &File, at: u64, bytes: &mut [u8]) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, at)
}

#[cfg(not(unix))]
fn read_at(mut file: &File, at: u64, bytes: &mut [u8]) -> std::io::Result<()> {
    use std::io::{Read, Seek, SeekFrom};
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(bytes)
}
