//! Changes to a text: what goes with a field that goes.

use cortado_proto::text::Edits;
use cortado_proto::{NetDef, Source};

#[test]
fn what_is_removed_takes_its_separator_along() {
    let table = [
        ("layer { name: \"a\" };\nlayer { name: \"b\" }\n", "", "layer { name: \"b\" }\n"),
        ("layer { name: \"a\" }\n;\nlayer { name: \"b\" }\n", "", "layer { name: \"b\" }\n"),
        ("layer { name: \"a\" }, layer { name: \"b\" }", "", " layer { name: \"b\" }"),
        ("layer { name: \"a\", type: \"t\" }", "name", "layer {  type: \"t\" }"),
        ("layer {\n  name: \"a\";\n  type: \"t\"\n}", "name", "layer {\n  type: \"t\"\n}"),
        ("layer { type: \"t\", name: \"a\" , }", "name", "layer { type: \"t\",  }"),
        ("layer { name: \"a\" # one\n , type: \"t\" }", "name", "layer {  # one\n  type: \"t\" }"),
        // Without one, as it was.
        ("layer { name: \"a\" type: \"t\" }", "name", "layer {  type: \"t\" }"),
    ];
    for (text, field, wanted) in table {
        let source = Source::new("net.prototxt", text);
        let net = NetDef::from_text(&source).unwrap_or_else(|e| panic!("{e}"));
        let mut edits = Edits::new(&source);
        let place = net.layers[0].place.field(field).unwrap_or_else(|| panic!("{text}"));
        edits.remove(place.field);
        let new = edits.apply();
        assert_eq!(new, wanted);
        NetDef::from_text(&Source::new("new", new)).unwrap_or_else(|e| panic!("{e}"));
    }
}
