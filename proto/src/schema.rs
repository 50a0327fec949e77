//! The schema at run time, read from the descriptor set that the build embeds: which message has
//! which fields, by name and by number. Text goes by name, so this is all the text format needs.

use std::collections::HashMap;
use std::sync::LazyLock;

use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorSet};

/// The descriptor set of `caffe.proto`, encoded.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/caffe.descriptors"));

/// A line `Message.field dialects` for each field of forks.
const DIALECTS: &str = include_str!(concat!(env!("OUT_DIR"), "/caffe.dialects"));

/// What a field holds. Indices point into the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `double`
    Double,
    /// `float`
    Float,
    /// `int32`
    Int32,
    /// `int64`
    Int64,
    /// `uint32`
    Uint32,
    /// `uint64`
    Uint64,
    /// `bool`
    Bool,
    /// `string`
    String,
    /// `bytes`
    Bytes,
    /// One of an enum's values.
    Enum(usize),
    /// A block.
    Message(usize),
}

impl Kind {
    /// The name of the type as the schema spells it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Double => "double",
            Kind::Float => "float",
            Kind::Int32 => "int32",
            Kind::Int64 => "int64",
            Kind::Uint32 => "uint32",
            Kind::Uint64 => "uint64",
            Kind::Bool => "bool",
            Kind::String => "string",
            Kind::Bytes => "bytes",
            Kind::Enum(i) => &schema().enums[i].name,
            Kind::Message(i) => &schema().messages[i].name,
        }
    }
}

/// How often a field may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// At most once.
    Optional,
    /// Exactly once.
    Required,
    /// Any number of times.
    Repeated,
}

/// One field of a message.
#[derive(Debug)]
pub struct Field {
    /// Name in text.
    pub name: String,
    /// Number in binary.
    pub number: u32,
    /// How often it may stand.
    pub count: Count,
    /// What it holds.
    pub kind: Kind,
    /// The default as the schema spells it.
    pub default: Option<String>,
    /// The forks whose field it is; empty for the original's.
    pub dialects: &'static str,
}

/// One message type.
#[derive(Debug)]
pub struct Message {
    /// Name without package, e.g. `LayerParameter`.
    pub name: String,
    /// Fields in number order.
    pub fields: Vec<Field>,
    by_name: HashMap<String, usize>,
}

impl Message {
    /// The field of this name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.by_name.get(name).map(|&i| &self.fields[i])
    }

    /// The field of this number.
    pub fn field_number(&self, number: u32) -> Option<&Field> {
        self.fields.binary_search_by_key(&number, |f| f.number).ok().map(|i| &self.fields[i])
    }
}

/// One enum type.
#[derive(Debug)]
pub struct Enum {
    /// Name, e.g. `PoolMethod`.
    pub name: String,
    /// Names and numbers.
    pub values: Vec<(String, i32)>,
}

/// All message and enum types.
#[derive(Debug)]
pub struct Schema {
    /// Messages; [`Kind::Message`] indexes them.
    pub messages: Vec<Message>,
    /// Enums; [`Kind::Enum`] indexes them.
    pub enums: Vec<Enum>,
    by_name: HashMap<String, usize>,
}

impl Schema {
    /// Index of a message by name without package.
    pub fn index(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// A message by name without package.
    pub fn message(&self, name: &str) -> Option<&Message> {
        self.index(name).map(|i| &self.messages[i])
    }
}

/// The schema of `caffe.proto`.
pub fn schema() -> &'static Schema {
    static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
        // The bytes come from our own build, not from a user: damage here is a bug of the build.
        let set = FileDescriptorSet::decode(DESCRIPTORS).expect("embedded descriptors decode");
        build(&set)
    });
    &SCHEMA
}

fn build(set: &FileDescriptorSet) -> Schema {
    let mut messages = Vec::new();
    let mut enums = Vec::new();
    for file in &set.file {
        for e in &file.enum_type {
            enums.push((e.name().to_string(), e));
        }
        for m in &file.message_type {
            collect(m, "", &mut messages, &mut enums);
        }
    }
    // Type names in the descriptors read `.caffe.Outer.Inner`.
    let message_index: HashMap<String, usize> =
        messages.iter().enumerate().map(|(i, (name, _))| (name.clone(), i)).collect();
    let enum_index: HashMap<String, usize> =
        enums.iter().enumerate().map(|(i, (name, _))| (name.clone(), i)).collect();
    let dialects: HashMap<&str, &'static str> =
        DIALECTS.lines().filter_map(|line| line.split_once(' ')).collect();
    let mut messages: Vec<Message> =
        messages.iter().map(|(name, m)| message(name, m, &message_index, &enum_index)).collect();
    for message in &mut messages {
        for field in &mut message.fields {
            let path = format!("{}.{}", message.name, field.name);
            field.dialects = dialects.get(path.as_str()).copied().unwrap_or_default();
        }
    }
    let enums = enums
        .iter()
        .map(|(_, e)| Enum {
            name: e.name().to_string(),
            values: e.value.iter().map(|v| (v.name().to_string(), v.number())).collect(),
        })
        .collect();
    Schema { messages, enums, by_name: message_index }
}

fn collect<'a>(
    m: &'a DescriptorProto,
    outer: &str,
    messages: &mut Vec<(String, &'a DescriptorProto)>,
    enums: &mut Vec<(String, &'a EnumDescriptorProto)>,
) {
    let name = format!("{outer}{}", m.name());
    for e in &m.enum_type {
        enums.push((format!("{name}.{}", e.name()), e));
    }
    for inner in &m.nested_type {
        collect(inner, &format!("{name}."), messages, enums);
    }
    messages.push((name, m));
}

fn message(
    name: &str,
    m: &DescriptorProto,
    messages: &HashMap<String, usize>,
    enums: &HashMap<String, usize>,
) -> Message {
    let mut fields: Vec<Field> = m
        .field
        .iter()
        .map(|f| {
            let of = f.type_name().trim_start_matches(".caffe.");
            let kind = match f.r#type() {
                Type::Double => Kind::Double,
                Type::Float => Kind::Float,
                Type::Int64 => Kind::Int64,
                Type::Uint64 => Kind::Uint64,
                Type::Int32 => Kind::Int32,
                Type::Uint32 => Kind::Uint32,
                Type::Bool => Kind::Bool,
                Type::String => Kind::String,
                Type::Bytes => Kind::Bytes,
                Type::Enum => Kind::Enum(enums[of]),
                Type::Message => Kind::Message(messages[of]),
                other => unreachable!("caffe.proto has no {other:?} fields"),
            };
            let count = match f.label() {
                Label::Optional => Count::Optional,
                Label::Required => Count::Required,
                Label::Repeated => Count::Repeated,
            };
            Field {
                name: f.name().to_string(),
                number: f.number() as u32,
                count,
                kind,
                default: f.default_value.clone(),
                dialects: "",
            }
        })
        .collect();
    fields.sort_by_key(|f| f.number);
    let by_name = fields.iter().enumerate().map(|(i, f)| (f.name.clone(), i)).collect();
    Message { name: name.to_string(), fields, by_name }
}

/// Field names of `message` (e.g. `"LayerParameter"`) that look like `name`, best first.
pub fn suggest(message: &str, name: &str) -> Vec<String> {
    let fields = schema().message(message).map_or(&[][..], |m| &m.fields);
    // What all blocks end in makes no two of them alike.
    const BLOCK: &str = "_param";
    let Some(stem) = name.strip_suffix(BLOCK) else {
        return similar(name, fields.iter().map(|f| f.name.as_str()));
    };
    let near = similar(stem, fields.iter().filter_map(|f| f.name.strip_suffix(BLOCK)));
    near.into_iter().map(|near| near + BLOCK).collect()
}

/// Blocks of `message` that have a field `name`: where a field set one level too high belongs.
pub fn blocks_with(message: &str, name: &str) -> Vec<String> {
    let s = schema();
    let Some(m) = s.message(message) else { return Vec::new() };
    let inner = m.fields.iter().filter(|f| match f.kind {
        Kind::Message(i) => s.messages[i].field(name).is_some(),
        _ => false,
    });
    inner.map(|f| f.name.clone()).collect()
}

/// The candidates closest to `name` (at most three), best first.
pub fn similar<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Vec<String> {
    let wanted = name.to_lowercase();
    let limit = (wanted.chars().count() / 3).max(1);
    let mut found: Vec<(usize, &str)> = candidates
        .map(|c| (distance(&wanted, &c.to_lowercase()), c))
        .filter(|&(d, _)| d <= limit)
        .collect();
    found.sort();
    found.dedup();
    let best = found.first().map_or(0, |&(d, _)| d);
    found.into_iter().filter(|&(d, _)| d <= best + 1).take(3).map(|(_, c)| c.to_string()).collect()
}

/// Edit distance; swapping two neighbours costs one.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) =
        (a.chars().take(64).collect(), b.chars().take(64).collect());
    let width = b.len() + 1;
    let mut d = vec![0usize; (a.len() + 1) * width];
    for (j, cell) in d[..width].iter_mut().enumerate() {
        *cell = j;
    }
    for i in 1..=a.len() {
        d[i * width] = i;
        for j in 1..=b.len() {
            let change = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (d[(i - 1) * width + j] + 1)
                .min(d[i * width + j - 1] + 1)
                .min(d[(i - 1) * width + j - 1] + change);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(d[(i - 2) * width + j - 2] + 1);
            }
            d[i * width + j] = best;
        }
    }
    d[a.len() * width + b.len()]
}
