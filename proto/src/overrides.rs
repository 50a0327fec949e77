//! Fields of a solver given from outside, such as `base_lr=0.01` on the command line.

use prost::Message;

use crate::caffe::SolverParameter;
use crate::def::{Place, SolverDef};
use crate::error::{Diagnostic, Error, Errors};
use crate::schema::{Kind, schema, suggest};
use crate::span::Source;
use crate::{text, wire};

const SOLVER: &str = "SolverParameter";
/// Two names of one thing: setting one takes the place of the other.
const SYNONYMS: [[&str; 2]; 1] = [["type", "solver_type"]];

impl SolverDef {
    /// Puts values in place of the file's, each as `field=value`. A field that may be repeated is given
    /// as often; what the file has of it goes.
    ///
    /// # Errors
    /// All that are no fields, or whose values make no sense.
    pub fn set(&mut self, assignments: &[String]) -> Result<(), Errors> {
        let (mut lines, mut numbers, mut errors) = (String::new(), Vec::new(), Vec::new());
        for assignment in assignments {
            match line(assignment) {
                Ok((replaced, line)) => {
                    numbers.extend(replaced);
                    lines += &line;
                }
                Err(error) => errors.push(error),
            }
        }
        if let Some(errors) = Errors::from_list(errors) {
            return Err(errors);
        }
        let given = text::parse::<SolverParameter>(&Source::new("--set", &lines))?;
        self.given = Place::in_file(&given.spans, "");
        let mut bytes = wire::without_fields(&self.param.encode_to_vec(), &numbers)?;
        bytes.extend(given.message.encode_to_vec());
        let decoded = SolverParameter::decode(bytes.as_slice());
        self.param = decoded.map_err(|e| Error::value("--set", e.to_string()))?;
        let note =
            |given: &String| Diagnostic::note(format!("`{given}` in place of the file's"), None);
        self.notes.extend(assignments.iter().map(note));
        Ok(())
    }
}

/// The numbers of the fields in whose place it stands, and the assignment as a line of text.
fn line(assignment: &str) -> Result<(Vec<u32>, String), Error> {
    let Some((name, value)) = assignment.split_once('=') else {
        return Err(Error::value("--set", format!("wants field=value, found `{assignment}`")));
    };
    let (name, value) = (name.trim(), value.trim());
    let Some(field) = schema().message(SOLVER).and_then(|solver| solver.field(name)) else {
        let error = Error::value("--set", format!("a solver has no field `{name}`"));
        let similar = suggest(SOLVER, name);
        return Err(match similar.is_empty() {
            true => error,
            false => error.note(format!("similar: `{}`", similar.join("`, `"))),
        });
    };
    let quoted = value.starts_with(['"', '\'']);
    let value = match field.kind {
        Kind::String if !quoted => format!("{value:?}"),
        _ => value.to_owned(),
    };
    let colon = if matches!(field.kind, Kind::Message(_)) { "" } else { ":" };
    let line = format!("{name}{colon} {value}\n");
    // What does not parse is told with all others, in its place.
    if let Ok(parsed) = text::parse::<SolverParameter>(&Source::new("--set", &line)) {
        let more = wire::without_fields(&parsed.message.encode_to_vec(), &[field.number])?;
        if !more.is_empty() {
            let why = format!("sets one field, and `{assignment}` more: give each its own --set");
            return Err(Error::value("--set", why));
        }
    }
    let synonyms = SYNONYMS.iter().filter(|pair| pair.contains(&name)).flatten();
    let of = |name: &str| schema().message(SOLVER)?.field(name).map(|field| field.number);
    let replaced = std::iter::once(field.number).chain(synonyms.filter_map(|name| of(name)));
    Ok((replaced.collect(), line))
}
