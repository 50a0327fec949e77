//! What is done with bytes that nobody meant well with, one function per kind of input. The fuzzer
//! (`fuzz/`) and the replay on stable (`main.rs`) share them. None may panic, hang, or ask for memory
//! beyond its limit; errors are fine.

use std::cell::RefCell;
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use cortado::data::db::{self, Payload};
use cortado::data::{Color, MeanPicture, Record, image};
use cortado::hdf5::Reader;
use cortado::net::{Net, NetOptions, threads};
use cortado::plot::{self, Panel, Series};
use cortado::solver::{Solver, SolverOptions, read_readings};
use cortado::tools::training_log::{Table, TrainingLog};
use cortado_layers::{Phase, Registry};
use cortado_proto::caffe::{NetParameter, SolverParameter, SolverState};
use cortado_proto::wire::{self, Model};
use cortado_proto::{ErrorKind, NetDef, SolverDef, Source, schema, text};
use cortado_witness::caffe as theirs;
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, Kind, MessageDescriptor};
use protobuf::{CodedInputStream, rt};

/// A kind of input.
pub type Target = fn(&[u8]);

/// All kinds by name.
pub const TARGETS: [(&str, Target); 12] = [
    ("caffemodel", caffemodel),
    ("codec", codec),
    ("datum", datum),
    ("hdf5", hdf5),
    ("image", picture),
    ("lmdb", lmdb),
    ("log", log),
    ("mean", mean),
    ("net", net),
    ("solverstate", solverstate),
    ("text", prototxt),
    ("text_codec", text_codec),
];

const COLORS: [Color; 3] = [Color::Native, Color::Bgr, Color::Gray];

/// A text of a net and of a solver: what is taken comes back from its own print.
pub fn prototxt(bytes: &[u8]) {
    let source = Source::from_bytes("fuzz.prototxt", bytes.to_vec());
    if let Err(errors) = NetDef::from_text(&source) {
        assert!(!errors.to_string().is_empty());
    }
    if let Ok(def) = SolverDef::from_text(&source) {
        let printed = text::print(&def.param);
        let again = SolverDef::from_text(&Source::new("again", &printed));
        let again = again.unwrap_or_else(|e| panic!("{e}\n{printed}"));
        assert_eq!(text::print(&again.param), printed);
    }
}

fn options(phase: Phase) -> NetOptions {
    thread_local! {
        static POOL: Arc<rayon::ThreadPool> = threads::pool(1);
    }
    NetOptions {
        registry: Registry::builtin(),
        pool: POOL.with(Arc::clone),
        max_memory: 1 << 20,
        ..NetOptions::new(phase)
    }
}

/// A net is built in both phases, with all its shapes.
pub fn net(bytes: &[u8]) {
    let source = Source::from_bytes("fuzz.prototxt", bytes.to_vec());
    let Ok(def) = NetDef::from_text(&source) else { return };
    for phase in [Phase::Train, Phase::Test] {
        if let Err(errors) = Net::build(def.clone(), &options(phase)) {
            assert!(!errors.to_string().is_empty());
        }
    }
}

/// Weights, and the net that a binary file may hold.
pub fn caffemodel(bytes: &[u8]) {
    if let Ok(model) = Model::from_bytes(bytes.to_vec()) {
        for layer in &model.layers {
            for blob in model.blobs(layer) {
                let _ = blob.to_vec();
            }
        }
    }
    let _ = wire::upgraded_net(bytes);
    if let Ok(param) = wire::decode_net(bytes) {
        let _ = Net::build(NetDef::from_message(param), &options(Phase::Test));
    }
}

const SOLVER: &str = r#"
    net_param {
      layer { name: "d" type: "DummyData" top: "x" dummy_data_param { shape { dim: 1 dim: 2 } } }
      layer { name: "fc" type: "InnerProduct" bottom: "x" top: "y" loss_weight: 1
        inner_product_param { num_output: 1 } } }
    base_lr: 0.5 lr_policy: "multistep" stepvalue: 3 max_iter: 2"#;

/// A file of these bytes, and a small solver.
fn with_file(bytes: &[u8], act: impl FnOnce(&PathBuf, &mut Solver)) {
    struct Place {
        folder: tempfile::TempDir,
        solver: Solver,
    }
    thread_local! {
        static PLACE: RefCell<Option<Place>> = const { RefCell::new(None) };
    }
    PLACE.with_borrow_mut(|place| {
        let place = place.get_or_insert_with(|| {
            let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
            let def = SolverDef::from_text(&Source::new("solver", SOLVER));
            let def = def.unwrap_or_else(|e| panic!("{e}"));
            let pool = options(Phase::Train).pool;
            let options = SolverOptions { pool, ..SolverOptions::default() };
            let solver = Solver::build(def, &options).unwrap_or_else(|e| panic!("{e}"));
            Place { folder, solver }
        });
        let path = place.folder.path().join("input");
        std::fs::write(&path, bytes).unwrap_or_else(|e| panic!("{e}"));
        act(&path, &mut place.solver);
    });
}

/// A solver's state, which a solver goes on from and can train after.
pub fn solverstate(bytes: &[u8]) {
    if let Ok(state) = wire::decode_state(bytes) {
        for blob in &state.history {
            let _ = wire::blob_values(blob);
        }
    }
    with_file(bytes, |path, solver| {
        if solver.restore(path).is_ok() {
            let _ = solver.step(1, &mut ());
        }
    });
}

/// An HDF5 file: all that is in it, weights for a net, a state.
pub fn hdf5(bytes: &[u8]) {
    with_file(bytes, |path, solver| {
        let _ = solver.net_mut().copy_from(path);
        let _ = solver.restore(path);
        let Ok(reader) = Reader::open(path) else { return };
        let mut groups = vec![(String::new(), 0)];
        // A group may name itself among its members.
        let mut left = 100;
        while let Some((group, depth)) = groups.pop() {
            let Ok((inner, datasets)) = reader.names(&group) else { continue };
            let join = |name: &String| match group.is_empty() {
                true => name.clone(),
                false => format!("{group}/{name}"),
            };
            for name in datasets.iter().map(join) {
                let (_, _) = (reader.read(&name), reader.numbers(&name));
                let _ = reader.text(&name);
                left -= 1;
            }
            if depth < 5 && left > 0 {
                groups.extend(inner.iter().map(|name| (join(name), depth + 1)));
            }
        }
    });
}

/// An item of a database.
pub fn datum(bytes: &[u8]) {
    for color in COLORS {
        let payload = Payload::Datum(bytes.to_vec());
        let record = Record { index: 0, key: Vec::new(), payload };
        if let Ok(item) = record.decode(color) {
            let count: usize = item.shape.iter().product();
            let found = match &item.pixels {
                cortado::data::Pixels::U8(values) => values.len(),
                cortado::data::Pixels::F32(values) => values.len(),
            };
            assert_eq!(found, count, "the item has as many values as its shape says");
        }
    }
}

/// A database: its first records in their order, then some from anywhere.
pub fn lmdb(bytes: &[u8]) {
    const READ: u64 = 200;
    thread_local! {
        static FOLDER: tempfile::TempDir = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    }
    FOLDER.with(|folder| {
        let path = folder.path().join("data.mdb");
        std::fs::write(&path, bytes).unwrap_or_else(|e| panic!("{e}"));
        let Ok(mut source) = db::open_any(folder.path()) else { return };
        let records = source.records();
        assert!(records > 0, "an empty database is refused");
        let mut order: Vec<u64> = (0..records.min(READ)).collect();
        order.extend([records - 1, records / 2, records / 3, 0]);
        for number in order {
            let Ok(found) = source.read(&[number]) else { continue };
            assert_eq!(found.len(), 1);
            assert_eq!(found[0].index, number);
        }
    });
}

/// A picture.
pub fn picture(bytes: &[u8]) {
    for color in COLORS {
        let _ = image::decode(bytes, color);
    }
}

/// A mean file.
pub fn mean(bytes: &[u8]) {
    let _ = MeanPicture::decode(bytes);
    if let Ok((shape, values)) = wire::decode_blob(bytes) {
        assert_eq!(shape.iter().product::<usize>(), values.len());
    }
}

/// The log of a training, a table of curves, readings of probes: as tables and as pictures.
pub fn log(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for year in [2026, i16::MIN, i16::MAX] {
        if let Ok(log) = TrainingLog::parse(&text, year) {
            check_table(&log.train);
            check_table(&log.test);
        }
    }
    for curves in [plot::read_log(&text), plot::read_csv(&text)] {
        let written = plot::to_csv(&curves);
        assert_eq!(
            plot::to_csv(&plot::read_csv(&written)),
            written,
            "a table comes back as it went"
        );
        check_picture(&plot::panels_of_series(curves));
    }
    let readings = plot::panels_of_readings(&read_readings(&text));
    let all: Vec<Series> = readings.iter().flat_map(|panel| &panel.series).cloned().collect();
    let written = plot::to_csv(&all);
    assert_eq!(plot::to_csv(&plot::read_csv(&written)), written, "readings come back as they went");
    check_picture(&readings);
}

/// Every line of a table has a cell for every column.
fn check_table(table: &Table) {
    let text = table.csv(',');
    let (mut lines, mut cells, mut quoted) = (0, 1, false);
    for c in text.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => cells += 1,
            '\n' if !quoted => {
                assert_eq!(cells, 3 + table.outputs.len(), "{text}");
                (lines, cells) = (lines + 1, 1);
            }
            _ => {}
        }
    }
    assert_eq!(lines, 1 + table.rows.len(), "{text}");
}

/// A picture is well-formed, and everything in it has a place.
fn check_picture(panels: &[Panel]) {
    let text = plot::svg("log", panels);
    let picture = roxmltree::Document::parse(&text).unwrap_or_else(|e| panic!("{e}:\n{text}"));
    for node in picture.descendants() {
        for name in ["d", "x", "y", "width", "height"] {
            let value = node.attribute(name).unwrap_or_default();
            assert!(!value.contains("NaN") && !value.contains("inf"), "{name} is {value}:\n{text}");
        }
    }
}

thread_local! {
    static POOL: DescriptorPool =
        DescriptorPool::decode(schema::DESCRIPTORS).unwrap_or_else(|e| panic!("{e}"));
}

/// Our binary codec beside an independent one: what both take is the same message.
pub fn codec(bytes: &[u8]) {
    agree::<NetParameter, theirs::NetParameter>(bytes);
    agree::<SolverParameter, theirs::SolverParameter>(bytes);
    agree::<SolverState, theirs::SolverState>(bytes);
}

fn agree<O: Message + prost::Name + Default, T: protobuf::Message>(bytes: &[u8]) {
    let (Ok(ours), Ok(theirs)) = (O::decode(bytes), T::parse_from_bytes(bytes)) else { return };
    let written = ours.encode_to_vec();
    let again = T::parse_from_bytes(&written).unwrap_or_else(|e| panic!("theirs: {e}"));
    let message = POOL.with(|pool| pool.get_message_by_name(&O::full_name()));
    let message = message.unwrap_or_else(|| panic!("{} is not known", O::full_name()));
    let theirs = if in_parts(&message, bytes) { again } else { theirs };
    let written = theirs.write_to_bytes().unwrap_or_else(|e| panic!("{e}"));
    let crossed = O::decode(written.as_slice()).unwrap_or_else(|e| panic!("ours: {e}"));
    assert_eq!(text::print(&crossed), text::print(&ours));
}

/// Whether a message in it that may stand once stands there in several parts. They are to be merged;
/// the other codec leaves the last one.
fn in_parts(message: &MessageDescriptor, bytes: &[u8]) -> bool {
    let mut input = CodedInputStream::from_bytes(bytes);
    let mut seen = HashSet::new();
    while let Ok(Some(tag)) = input.read_raw_tag_or_eof() {
        let (number, is_block) = (tag >> 3, tag & 7 == 2);
        let Some(field) = message.get_field(number).filter(|_| is_block) else {
            match rt::skip_field_for_tag(tag, &mut input) {
                Ok(()) => continue,
                Err(_) => return false,
            }
        };
        let Ok(part) = input.read_bytes() else { return false };
        if let Kind::Message(inner) = field.kind()
            && ((!field.is_list() && !seen.insert(number)) || in_parts(&inner, &part))
        {
            return true;
        }
    }
    false
}

/// Our text reader beside an independent one: what that takes ours takes, as the same message.
pub fn text_codec(bytes: &[u8]) {
    let Ok(source) = std::str::from_utf8(bytes) else { return };
    let wanted = POOL.with(|pool| {
        let message = pool.get_message_by_name("caffe.SolverParameter")?;
        DynamicMessage::parse_text_format(message, source).ok()
    });
    let Some(wanted) = wanted else { return };
    let Ok(wanted) = SolverParameter::decode(wanted.encode_to_vec().as_slice()) else { return };
    match text::parse_strict::<SolverParameter>(&Source::new("fuzz", source)) {
        Ok(found) => assert_eq!(text::print(&found.message), text::print(&wanted)),
        Err(errors) => {
            let known = errors.iter().all(|e| {
                // It takes enum numbers that no value has, does not ask for required fields, and takes
                // `09` and `01.5`, which the original refuses too (golden `text/rejections.txt`), and
                // `\X41`, which some of its generations refuse and the others read as `?41`.
                match &e.kind {
                    ErrorKind::UnknownEnumValue { .. } | ErrorKind::MissingField { .. } => true,
                    ErrorKind::Token(what) => {
                        what.contains("starts with 0 is octal")
                            || what.contains("must not start with 0 and another digit")
                            || (what.contains("unknown escape") && source.contains(r"\X"))
                    }
                    _ => false,
                }
            });
            assert!(known, "only the other reader takes it: {errors}");
        }
    }
}
