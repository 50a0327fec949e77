//! A layer type from outside the crate, with a parameter block of its own in the prototxt.

use cortado::net::{Net, NetOptions};
use cortado_layers::{
    Backward, Forward, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs, Phase, Reshape,
};
use cortado_proto::NetDef;
use cortado_proto::span::Source;

static KIND: LayerKind =
    LayerKind::new("Wave", build, &DOC).needs(|_| Needs::BOTTOM).extensions(&["wave_param"]);
static DOC: LayerDoc = LayerDoc::new("The sine of each element times a frequency.");

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let frequency = match def.extension("wave_param") {
        Some(block) => block.block().get_f32("frequency")?.unwrap_or(1.0),
        None => 1.0,
    };
    if frequency <= 0.0 {
        let why = format!("`frequency` is above 0, found {frequency}");
        return Err(LayerError::field("wave_param.frequency", why));
    }
    Ok(Box::new(Wave { frequency }))
}

struct Wave {
    frequency: f32,
}

impl Layer for Wave {
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        cx.top(0, cx.bottoms[0].clone());
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let frequency = self.frequency;
        cx.k.map(cx.src_dst(0), move |x| (frequency * x).sin());
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let (frequency, k, x) = (self.frequency, cx.k, cx.bottom(0).data);
        let Some((diff, write)) = cx.diff(0) else { return Ok(()) };
        k.map2(diff, x, write, move |dy, x| dy * frequency * (frequency * x).cos());
        Ok(())
    }
}

fn net_of(param: &str) -> Result<Net, String> {
    let text = format!(
        r#"force_backward: true
        layer {{ name: "in" type: "Input" top: "x" input_param {{ shape {{ dim: 3 }} }} }}
        layer {{ name: "wave" type: "Wave" bottom: "x" top: "y" {param} }}"#
    );
    let mut options = NetOptions::new(Phase::Train);
    options.registry = options.registry.with(&KIND);
    let def = NetDef::from_text(&Source::new("wave.prototxt", text.as_str()))
        .map_err(|e| e.to_string())?;
    Net::build(def, &options).map_err(|e| e.to_string())
}

#[test]
fn a_type_from_outside_runs_both_passes_with_its_own_block() {
    let mut net = net_of("wave_param { frequency: 2 }").unwrap_or_else(|why| panic!("{why}"));
    let x = ndarray::arr1(&[0.0, 0.5, -1.0]).into_dyn();
    net.set_input("x", x.view()).unwrap_or_else(|e| panic!("{e}"));
    net.forward().unwrap_or_else(|e| panic!("{e}"));
    let close = |found: &[f32], wanted: [f32; 3]| {
        found.iter().zip(wanted).all(|(f, w)| (f - w).abs() < 1e-6)
    };
    assert!(net.blob("y").is_some_and(|y| close(y.data, [0.0, 1f32.sin(), (-2f32).sin()])));
    net.set_diff("y", &[1.0; 3]).unwrap_or_else(|e| panic!("{e}"));
    net.backward().unwrap_or_else(|e| panic!("{e}"));
    assert!(
        net.diff("x").is_some_and(|d| close(d.data, [2.0, 2.0 * 1f32.cos(), 2.0 * 2f32.cos()]))
    );
}

#[test]
fn mistakes_in_such_a_block_have_a_place() {
    let told = net_of("wave_param { frequency: -1 }").err().unwrap_or_default();
    assert!(told.contains("wave.prototxt:3:") && told.contains("found -1"), "{told}");
}

#[test]
fn a_block_that_looks_like_the_types_own_is_refused() {
    let told = net_of("wove_param { frequency: 1 }").err().unwrap_or_default();
    assert!(told.contains("wove_param") && told.contains("wave.prototxt:3:"), "{told}");
    assert!(told.contains("similar: `wave_param`"), "{told}");
}
