//! `Datum`: the message that databases of the original hold, raw values or an encoded picture.

use cortado_proto::caffe::Datum;
use prost::Message;

use super::{Item, Pixels};
use crate::data::image::{self, Color};

/// The item a datum holds. Bytes win over floats when both are there, as in the original.
pub fn decode(bytes: &[u8], color: Color) -> Result<Item, String> {
    item_of(Datum::decode(bytes).map_err(|e| format!("it is no Datum message: {e}"))?, color)
}

/// The same of a message that is decoded.
pub fn item_of(datum: Datum, color: Color) -> Result<Item, String> {
    let label = datum.label();
    if datum.encoded() {
        let picture = image::decode(datum.data(), color)?;
        return Ok(Item { shape: picture.shape, pixels: Pixels::U8(picture.data), label });
    }
    let axis = |name: &str, length: i32| {
        usize::try_from(length).map_err(|_| format!("its Datum has {length} {name}"))
    };
    let shape = [
        axis("channels", datum.channels())?,
        axis("rows", datum.height())?,
        axis("columns", datum.width())?,
    ];
    let [c, h, w] = shape;
    let wanted = c.checked_mul(h).and_then(|n| n.checked_mul(w));
    let pixels = match datum.data {
        Some(data) if !data.is_empty() => Pixels::U8(data),
        _ => Pixels::F32(datum.float_data),
    };
    let found = match &pixels {
        Pixels::U8(data) => data.len(),
        Pixels::F32(data) => data.len(),
    };
    if wanted != Some(found) {
        return Err(format!("its Datum says {c}x{h}x{w} and holds {found} values"));
    }
    Ok(Item { shape, pixels, label })
}

/// The datum of an item whose values are bytes, as the original's tools write it.
pub fn encode(shape: [usize; 3], bytes: Vec<u8>, label: i32) -> Vec<u8> {
    let [channels, height, width] = shape.map(|length| i32::try_from(length).ok());
    let (data, label) = (Some(bytes), Some(label));
    Datum { channels, height, width, data, label, ..Datum::default() }.encode_to_vec()
}
