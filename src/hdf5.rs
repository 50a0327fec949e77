//! HDF5 files: arrays read by path as f32, and small files written whole. What goes wrong is one
//! sentence that names the file and the dataset.

use std::path::Path;

use cortado_layers::Shape;

const MAGIC: [u8; 8] = *b"\x89HDF\r\n\x1a\n";

/// Whether a file begins as HDF5 files do, whatever its name.
pub fn is_hdf5(path: &Path) -> bool {
    beginning(path).is_some()
}

/// Where the HDF5 of a file begins: at 0, or behind what somebody else put there (MATLAB), at 512 or twice
/// that and so on.
fn beginning(path: &Path) -> Option<u64> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = std::fs::File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    let places = std::iter::once(0).chain((9..63).map(|power| 1 << power));
    places.take_while(|place| place + 8 <= length).find(|&place| {
        let mut magic = [0; 8];
        let read = file.seek(SeekFrom::Start(place)).and_then(|_| file.read_exact(&mut magic));
        read.is_ok() && magic == MAGIC
    })
}

/// The length that the superblock of a file tells (HDF5 file format 3.0, II.A), where offsets have
/// eight bytes and nothing stands before it.
#[cfg(feature = "hdf5")]
fn whole_length(path: &Path) -> Option<u64> {
    use std::io::Read;
    let mut head = [0; 52];
    std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut head)).ok()?;
    let (width, at) = match head[8] {
        _ if !head.starts_with(&MAGIC) => return None,
        0 => (head[13], 40),
        1 => (head[13], 44),
        2 | 3 => (head[9], 28),
        _ => return None,
    };
    let end = head[at..].first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
    end.filter(|&end| width == 8 && end != u64::MAX)
}

/// What stands at a path of a file to be written.
pub enum Content<'a> {
    /// An array.
    Floats(Shape, &'a [f32]),
    /// One number, as an array of one.
    Int(i32),
    /// Numbers.
    Numbers(Vec<u64>),
    /// A string.
    Text(String),
    /// A group, which may stay empty.
    Group,
}

/// The path that two things would stand at, or a thing and the group of another.
pub(crate) fn collision<'a>(contents: &'a [(String, Content<'_>)]) -> Option<&'a str> {
    let arrays = contents.iter().filter(|(_, content)| !matches!(content, Content::Group));
    let mut seen = std::collections::HashSet::new();
    let twice = arrays.map(|(path, _)| path.as_str()).find(|path| !seen.insert(*path));
    twice.or_else(|| {
        let ends = |path: &'a str| path.match_indices('/').map(move |(end, _)| &path[..end]);
        let group = |path: &'a str| ends(path).chain([path]).find(|group| seen.contains(group));
        let of = |(path, content): &'a (String, Content<'_>)| match content {
            Content::Group => group(path),
            _ => ends(path).find(|group| seen.contains(group)),
        };
        contents.iter().find_map(of)
    })
}

#[cfg(feature = "hdf5")]
pub use with_hdf5::{Reader, write_on};
#[cfg(not(feature = "hdf5"))]
pub use without_hdf5::{Reader, write_on};

/// Writes a file with these contents, whole or not at all.
///
/// # Errors
/// It can't be written.
pub fn write(path: &Path, contents: &[(String, Content<'_>)]) -> Result<(), cortado_proto::Error> {
    write_on(&cortado_proto::wire::RealDisk, path, contents).map(|_| ())
}

#[cfg(feature = "hdf5")]
mod with_hdf5 {
    use std::io;
    use std::path::Path;

    use cortado_layers::Shape;
    use cortado_proto::{ErrorKind, wire};
    use hdf5_pure::{
        CharacterSet, DType, Dataset, Datatype, File, FileBuilder, Group, GroupBuilder, LibVer,
        StringPadding,
    };

    use super::Content;

    /// A file open for reading.
    pub struct Reader {
        file: File,
        shown: String,
        /// Size of the file in bytes.
        size: u64,
    }

    impl Reader {
        /// Opens a file; only what is asked for is read.
        ///
        /// # Errors
        /// It can't be read, or is damaged.
        pub fn open(path: &Path) -> Result<Reader, String> {
            let shown = path.display().to_string();
            let size = std::fs::metadata(path).map_err(|e| format!("can't read `{shown}`: {e}"))?;
            if !size.is_file() && !size.is_dir() {
                return Err(format!("`{shown}` is not a regular file"));
            }
            if size.is_file() && !super::is_hdf5(path) {
                return Err(format!("`{shown}` is no HDF5 file"));
            }
            let (length, whole) = (size.len(), super::whole_length(path));
            if let Some(whole) = whole.filter(|&whole| whole > length) {
                return Err(format!(
                    "the HDF5 file `{shown}` is cut off: it has {length} bytes, its own header \
                     counts {whole}"
                ));
            }
            let file = File::open_streaming(path);
            let file = file.map_err(|e| format!("can't read the HDF5 file `{shown}`: {e}"))?;
            Ok(Reader { file, shown, size: size.len() })
        }

        /// Size of the file in bytes.
        pub fn size(&self) -> u64 {
            self.size
        }

        /// Whether there is a group of this path.
        pub fn has_group(&self, path: &str) -> bool {
            self.file.group(path).is_ok()
        }

        /// Whether there is a dataset of this path.
        pub fn has(&self, path: &str) -> bool {
            self.file.dataset(path).is_ok()
        }

        /// Names of the groups and of the datasets in a group; empty: the whole file's.
        ///
        /// # Errors
        /// There is no such group, or it is damaged.
        pub fn names(&self, group: &str) -> Result<(Vec<String>, Vec<String>), String> {
            let names = |group: Group| Ok((group.groups()?, group.datasets()?));
            let found = match group {
                "" => names(self.file.root()),
                path => self.file.group(path).and_then(names),
            };
            let found: (Vec<String>, Vec<String>) = found.map_err(|e| self.failed(group, &e))?;
            if found.0.iter().chain(&found.1).any(String::is_empty) {
                let shown = &self.shown;
                return Err(format!("`{group}` of the HDF5 file `{shown}` holds what has no name"));
            }
            Ok(found)
        }

        fn failed(&self, path: &str, error: &hdf5_pure::Error) -> String {
            format!("can't read `{path}` of the HDF5 file `{}`: {error}", self.shown)
        }

        fn dataset(&self, path: &str) -> Result<Dataset, String> {
            self.file.dataset(path).map_err(|_| {
                let (mut groups, datasets) = match self.names("") {
                    Ok(names) => names,
                    Err(why) => {
                        let what =
                            format!("the HDF5 file `{}` has no dataset `{path}`", self.shown);
                        return format!("{what} that can be read; {why}");
                    }
                };
                groups.iter_mut().for_each(|group| group.push('/'));
                let there = [datasets, groups].concat();
                let there = there.iter().take(12).cloned().collect::<Vec<_>>().join(", ");
                format!("the HDF5 file `{}` has no dataset `{path}`; it has {there}", self.shown)
            })
        }

        /// The shape of an array of numbers.
        ///
        /// # Errors
        /// There is none, it holds something else, or its shape cannot be.
        pub fn shape(&self, path: &str) -> Result<Shape, String> {
            self.shape_of(path, &self.dataset(path)?)
        }

        fn shape_of(&self, path: &str, dataset: &Dataset) -> Result<Shape, String> {
            use DType::{F32, F64, I8, I16, I32, I64, U8, U16, U32, U64};
            let about = |why: String| format!("dataset `{path}` of `{}` {why}", self.shown);
            let dtype = dataset.dtype().map_err(|e| self.failed(path, &e))?;
            if !matches!(dtype, F32 | F64 | I8 | I16 | I32 | I64 | U8 | U16 | U32 | U64) {
                return Err(about(format!("holds {dtype}; numbers are wanted")));
            }
            let dims = dataset.shape().map_err(|e| self.failed(path, &e))?;
            let dims: Vec<i64> = dims.iter().map(|&d| i64::try_from(d).unwrap_or(-1)).collect();
            let shape = Shape::from_file(&dims).map_err(|why| about(format!("is wrong: {why}")))?;
            // No filter packs zeros closer than this; a larger shape is damage.
            let most = self.size.saturating_mul(2048).max(1 << 20);
            if shape.count() as u64 > most {
                return Err(about(format!("says {shape}, which a file of this size can't hold")));
            }
            Ok(shape)
        }

        /// An array, its numbers as f32.
        ///
        /// # Errors
        /// As [`Reader::shape`], or its values are damaged.
        pub fn read(&self, path: &str) -> Result<(Shape, Vec<f32>), String> {
            let dataset = self.dataset(path)?;
            let shape = self.shape_of(path, &dataset)?;
            let values = match shape.count() {
                0 => Vec::new(),
                _ => dataset.read_f32().map_err(|e| self.failed(path, &e))?,
            };
            self.expect(path, &shape, values.len())?;
            Ok((shape, values))
        }

        fn expect(&self, path: &str, shape: &Shape, found: usize) -> Result<(), String> {
            if found == shape.count() {
                return Ok(());
            }
            Err(format!("dataset `{path}` of `{}` is {shape} and holds {found} values", self.shown))
        }

        /// Whole numbers.
        ///
        /// # Errors
        /// As [`Reader::read`].
        pub fn numbers(&self, path: &str) -> Result<Vec<i64>, String> {
            let dataset = self.dataset(path)?;
            self.shape_of(path, &dataset)?;
            dataset.read_i64().map_err(|e| self.failed(path, &e))
        }

        /// One whole number.
        ///
        /// # Errors
        /// As [`Reader::read`], or there are more or less.
        pub fn number(&self, path: &str) -> Result<i64, String> {
            match self.numbers(path)?[..] {
                [number] => Ok(number),
                ref many => {
                    let shown = &self.shown;
                    Err(format!(
                        "`{path}` of `{shown}` holds {} numbers, one is wanted",
                        many.len()
                    ))
                }
            }
        }

        /// A string.
        ///
        /// # Errors
        /// There is none.
        pub fn text(&self, path: &str) -> Result<String, String> {
            let texts = self.dataset(path)?.read_string().map_err(|e| self.failed(path, &e))?;
            let text = texts.into_iter().next().unwrap_or_default();
            Ok(text.trim_end_matches('\0').to_owned())
        }
    }

    /// Writes a file with these contents, whole or not at all, in a form that old readers know. Gives
    /// its checksum.
    ///
    /// # Errors
    /// It can't be written.
    pub fn write_on(
        disk: &dyn wire::Disk,
        path: &Path,
        contents: &[(String, Content<'_>)],
    ) -> Result<u32, cortado_proto::Error> {
        if let Some(twice) = super::collision(contents) {
            let why =
                format!("`{twice}` would stand in it twice: two layers have names that clash");
            return Err(cortado_proto::Error::new(ErrorKind::File {
                doing: "write",
                path: path.into(),
                why,
            }));
        }
        let mut builder = FileBuilder::new();
        builder.with_libver_bounds(LibVer::Earliest, LibVer::V18);
        let entries: Vec<_> = contents.iter().map(|(at, content)| (&at[..], content)).collect();
        fill(&mut builder, &entries);
        let write = |out: &mut dyn io::Write| builder.finish_to(out).map_err(io::Error::other);
        wire::write_file_on(disk, path, write)
    }

    /// A file or a group being built.
    trait Parent {
        fn dataset(&mut self, name: &str) -> &mut hdf5_pure::DatasetBuilder;
        fn group(&mut self, name: &str, members: &[(&str, &Content<'_>)]);
    }

    impl Parent for FileBuilder {
        fn dataset(&mut self, name: &str) -> &mut hdf5_pure::DatasetBuilder {
            self.create_dataset(name)
        }
        fn group(&mut self, name: &str, members: &[(&str, &Content<'_>)]) {
            let mut group = self.create_group(name);
            fill(&mut group, members);
            self.add_group(group.finish());
        }
    }

    impl Parent for GroupBuilder {
        fn dataset(&mut self, name: &str) -> &mut hdf5_pure::DatasetBuilder {
            self.create_dataset(name)
        }
        fn group(&mut self, name: &str, members: &[(&str, &Content<'_>)]) {
            let mut group = self.create_group(name);
            fill(&mut group, members);
            self.add_group(group.finish());
        }
    }

    fn fill(parent: &mut impl Parent, contents: &[(&str, &Content<'_>)]) {
        let mut groups: Vec<(&str, Vec<(&str, &Content<'_>)>)> = Vec::new();
        for (path, content) in contents {
            let (group, member) = match (path.split_once('/'), content) {
                (Some((group, rest)), content) => (group, Some((rest, *content))),
                (None, Content::Group) => (*path, None),
                (None, content) => {
                    dataset(parent.dataset(path), content);
                    continue;
                }
            };
            match groups.iter_mut().find(|(name, _)| *name == group) {
                Some((_, members)) => members.extend(member),
                None => groups.push((group, member.into_iter().collect())),
            }
        }
        groups.iter().for_each(|(name, members)| parent.group(name, members));
    }

    fn dataset(builder: &mut hdf5_pure::DatasetBuilder, content: &Content<'_>) {
        match content {
            Content::Floats(shape, data) => {
                let dims: Vec<u64> = shape.iter().map(|&d| d as u64).collect();
                builder.with_f32_data(data).with_shape(&dims);
            }
            Content::Int(number) => {
                builder.with_i32_data(&[*number]);
            }
            Content::Numbers(numbers) => {
                builder.with_u64_data(numbers);
            }
            Content::Text(text) => {
                // As C has it: ended by a zero.
                let bytes = [text.as_bytes(), &[0]].concat();
                let (padding, charset) = (StringPadding::NullTerminate, CharacterSet::Ascii);
                let kind = Datatype::String { size: bytes.len() as u32, padding, charset };
                builder.with_raw_data(kind, bytes, 1).with_shape(&[]);
            }
            Content::Group => {}
        }
    }
}

#[cfg(not(feature = "hdf5"))]
mod without_hdf5 {
    use std::path::Path;

    use cortado_layers::Shape;

    use super::Content;

    const WHY: &str = "this program was built without the feature `hdf5`";

    /// No file can be opened.
    pub enum Reader {}

    #[allow(missing_docs, clippy::missing_errors_doc)]
    impl Reader {
        pub fn open(path: &Path) -> Result<Reader, String> {
            Err(format!("can't read `{}`: {WHY}", path.display()))
        }
        pub fn size(&self) -> u64 {
            match *self {}
        }
        pub fn has_group(&self, _: &str) -> bool {
            match *self {}
        }
        pub fn has(&self, _: &str) -> bool {
            match *self {}
        }
        pub fn names(&self, _: &str) -> Result<(Vec<String>, Vec<String>), String> {
            match *self {}
        }
        pub fn shape(&self, _: &str) -> Result<Shape, String> {
            match *self {}
        }
        pub fn read(&self, _: &str) -> Result<(Shape, Vec<f32>), String> {
            match *self {}
        }
        pub fn numbers(&self, _: &str) -> Result<Vec<i64>, String> {
            match *self {}
        }
        pub fn number(&self, _: &str) -> Result<i64, String> {
            match *self {}
        }
        pub fn text(&self, _: &str) -> Result<String, String> {
            match *self {}
        }
    }

    /// No file can be written.
    ///
    /// # Errors
    /// Always.
    pub fn write_on(
        disk: &dyn cortado_proto::wire::Disk,
        path: &Path,
        _: &[(String, Content<'_>)],
    ) -> Result<u32, cortado_proto::Error> {
        cortado_proto::wire::write_file_on(disk, path, |_| Err(std::io::Error::other(WHY)))
    }
}
