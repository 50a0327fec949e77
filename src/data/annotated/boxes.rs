//! Boxes in parts of a picture's width and height, and what moves them.

/// A box; left and top, right and bottom, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BBox {
    /// Left, top.
    pub min: [f32; 2],
    /// Right, bottom.
    pub max: [f32; 2],
}

/// An object on a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Object {
    /// Its class.
    pub class: i32,
    /// Its number among those of its class.
    pub instance: i32,
    /// Where it is.
    pub bbox: BBox,
    /// Whether it is hard to see.
    pub difficult: bool,
}

impl BBox {
    /// The whole picture.
    pub const WHOLE: BBox = BBox { min: [0.0; 2], max: [1.0; 2] };

    /// What lies on the picture.
    pub fn clipped(&self) -> BBox {
        let clip = |side: [f32; 2]| side.map(|value| value.clamp(0.0, 1.0));
        BBox { min: clip(self.min), max: clip(self.max) }
    }

    /// Its area; 0 where the sides are the wrong way round.
    pub fn area(&self) -> f32 {
        (self.max[0] - self.min[0]).max(0.0) * (self.max[1] - self.min[1]).max(0.0)
    }

    fn common(&self, other: &BBox) -> f32 {
        let min = [0, 1].map(|axis| self.min[axis].max(other.min[axis]));
        let max = [0, 1].map(|axis| self.max[axis].min(other.max[axis]));
        BBox { min, max }.area()
    }

    /// The common area over that of both together (P. Jaccard).
    pub fn overlap(&self, other: &BBox) -> f32 {
        let common = self.common(other);
        let both = self.area() + other.area() - common;
        if both > 0.0 { common / both } else { 0.0 }
    }

    /// The part of it that lies in another.
    pub fn covered_by(&self, other: &BBox) -> f32 {
        let area = self.area();
        if area > 0.0 { self.common(other) / area } else { 0.0 }
    }
}

/// Moves places on one picture to places on another: scale · place + shift, per axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Map {
    /// Of x and y.
    pub scale: [f32; 2],
    /// Of x and y.
    pub shift: [f32; 2],
}

impl Map {
    /// Everything stays.
    pub const STAY: Map = Map { scale: [1.0; 2], shift: [0.0; 2] };

    /// From a picture to a part of it.
    pub fn into_part(part: &BBox) -> Map {
        let scale =
            [0, 1].map(|axis| 1.0 / (part.max[axis] - part.min[axis]).max(f32::MIN_POSITIVE));
        Map { scale, shift: [0, 1].map(|axis| -part.min[axis] * scale[axis]) }
    }

    /// From a picture of `inner` (height, width) onto a canvas of `outer`, so far from its top and left.
    pub fn onto_canvas(inner: [usize; 2], outer: [usize; 2], top: usize, left: usize) -> Map {
        let part = |a: usize, b: usize| a as f32 / b.max(1) as f32;
        Map {
            scale: [part(inner[1], outer[1]), part(inner[0], outer[0])],
            shift: [part(left, outer[1]), part(top, outer[0])],
        }
    }

    /// Left and right change places.
    pub const MIRROR: Map = Map { scale: [-1.0, 1.0], shift: [1.0, 0.0] };

    /// Where a box goes.
    pub fn of(&self, bbox: &BBox) -> BBox {
        let place =
            |side: [f32; 2]| [0, 1].map(|axis| self.scale[axis] * side[axis] + self.shift[axis]);
        let (one, other) = (place(bbox.min), place(bbox.max));
        BBox {
            min: [0, 1].map(|axis| one[axis].min(other[axis])),
            max: [0, 1].map(|axis| one[axis].max(other[axis])),
        }
    }
}
