//! The checker itself: a layer that breaks one promise at a time, and what the checker says.

use cortado_layers::check::{GradientCase, Values};
use cortado_layers::{
    Backward, Forward, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs, Registry, Reshape,
    SetUp, Write, filler,
};

/// Twice the bottom plus a weight, with the fault that its name says.
static FAULTY: LayerKind = LayerKind::new("Faulty", build, &DOC).in_place().needs(needs);

static DOC: LayerDoc = LayerDoc::new("For tests.");

fn needs(_: &LayerDef) -> Needs {
    Needs::NOTHING
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    Ok(Box::new(FaultyLayer { fault: def.name().to_owned(), passes: 0 }))
}

struct FaultyLayer {
    fault: String,
    passes: usize,
}

impl Layer for FaultyLayer {
    fn setup(&mut self, cx: &mut SetUp<'_>) -> Result<(), LayerError> {
        cx.weight([1], filler::constant(0.5));
        cx.state([1]);
        Ok(())
    }

    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        cx.top(0, cx.bottoms[0].clone());
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        self.passes += 1;
        let mut shift = cx.weights[0].data[0];
        match self.fault.as_str() {
            "moves state" => cx.state[0].data[0] += 1.0,
            "counts its passes" => shift += self.passes as f32,
            "needs a backward pass" if !cx.backward => shift += 1.0,
            "is different in place" if cx.bottoms[0].is_none() => shift += 1.0,
            "forgets an element" => {
                let x = cx.bottom(0).data;
                let last = x.len() - 1;
                cx.tops[0].data[..last].copy_from_slice(&x[..last]);
                return Ok(());
            }
            _ => {}
        }
        let k = cx.k;
        k.affine(cx.src_dst(0), 2.0, shift);
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let dy = cx.dy(0).to_vec();
        let fault = self.fault.as_str();
        let asked = cx.weight_diffs[0].is_some();
        if let Some(shift) = &mut cx.weight_diffs[0] {
            let sum: f32 = dy.iter().sum();
            match fault {
                "overwrites the weight's diff" => shift.data[0] = sum,
                _ => shift.data[0] += sum,
            }
        }
        let read = match (fault, cx.bottoms[0]) {
            // Right where it is there.
            ("reads the bottom", Some(bottom)) => bottom.data.first().map_or(f32::NAN, |x| x * 0.0),
            _ => 0.0,
        };
        let Some(diff) = &mut cx.bottom_diffs[0] else { return Ok(()) };
        let factor = match fault {
            "is wrong" => 2.02,
            "wants all diffs" if !asked => 0.0,
            _ => 2.0,
        };
        for (dx, dy) in diff.data.iter_mut().zip(&dy) {
            let value = factor * dy + read;
            match diff.write {
                Write::Add if fault != "overwrites" => *dx += value,
                _ if fault == "always adds" => *dx += value,
                _ => *dx = value,
            }
        }
        Ok(())
    }
}

const X: &[(&[usize], Values)] = &[(&[2, 3], Values::Normal)];

/// What the checker says of a fault.
fn told(name: &'static str, layer: &'static str) -> String {
    let case = GradientCase::new(name, layer, X).test();
    case.run(&Registry::builtin().with(&FAULTY)).err().unwrap_or_default()
}

#[test]
fn the_checker_finds_every_broken_promise() {
    let faults = [
        (r#"layer { name: "none" type: "Faulty" bottom: "x" top: "y" }"#, ""),
        (r#"layer { name: "is wrong" type: "Faulty" bottom: "x" top: "y" }"#, "elements differ"),
        (r#"layer { name: "reads the bottom" type: "Faulty" bottom: "x" top: "y" }"#, "NaN"),
        (r#"layer { name: "moves state" type: "Faulty" bottom: "x" top: "y" }"#, "own parameters"),
        (r#"layer { name: "forgets an element" type: "Faulty" bottom: "x" top: "y" }"#, "differ"),
        (r#"layer { name: "counts its passes" type: "Faulty" bottom: "x" top: "y" }"#, "differ"),
        (
            r#"layer { name: "needs a backward pass" type: "Faulty" bottom: "x" top: "y" }"#,
            "without a backward pass",
        ),
        (
            r#"layer { name: "is different in place" type: "Faulty" bottom: "x" top: "y" }"#,
            "in place, forward",
        ),
        (
            r#"layer { name: "overwrites the weight's diff" type: "Faulty" bottom: "x" top: "y" }"#,
            "added to what was there: weight 0",
        ),
        (
            r#"layer { name: "overwrites" type: "Faulty" bottom: "x" top: "y" }"#,
            "added to what was there: blob 0",
        ),
        (
            r#"layer { name: "always adds" type: "Faulty" bottom: "x" top: "y" }"#,
            "asked for alone: blob 0",
        ),
        (
            r#"layer { name: "wants all diffs" type: "Faulty" bottom: "x" top: "y" }"#,
            "asked for alone: blob 0",
        ),
    ];
    for (layer, wanted) in faults {
        let told = told("case", layer);
        assert_eq!(told.is_empty(), wanted.is_empty(), "{layer}: {told}");
        assert!(told.contains(wanted), "{layer}: {told}");
    }
}
