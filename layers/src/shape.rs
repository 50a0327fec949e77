//! The shape of a blob: up to 32 axes, counted from either end.

use std::fmt;
use std::ops::Deref;

use smallvec::SmallVec;

use crate::LayerError;

/// Lengths of the axes, outermost first (N C H W for pictures). No axes is a scalar.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Shape(SmallVec<[usize; 6]>);

/// As many axes as the original allows.
pub const MAX_AXES: usize = 32;

impl Shape {
    /// A shape from the lengths of its axes.
    pub fn new(dims: &[usize]) -> Shape {
        Shape(SmallVec::from_slice(dims))
    }

    /// The shape without axes: one element.
    pub fn scalar() -> Shape {
        Shape::default()
    }

    /// A checked shape from numbers of a file: at most 32 axes, nothing negative, a count of
    /// elements (and of bytes) that fits the address space.
    pub fn from_file(dims: &[i64]) -> Result<Shape, String> {
        if dims.len() > MAX_AXES {
            return Err(format!("a blob has at most {MAX_AXES} axes, this one {}", dims.len()));
        }
        let mut shape = Shape::default();
        for &dim in dims {
            let dim =
                usize::try_from(dim).map_err(|_| format!("an axis can't have the length {dim}"))?;
            shape.0.push(dim);
        }
        shape.checked_count().ok_or_else(|| format!("{shape} is too large"))?;
        Ok(shape)
    }

    /// Number of elements, `None` when it (in bytes) does not fit the address space. Nor may the
    /// other axes' where one is empty, so that counts over some of the axes fit as well.
    pub fn checked_count(&self) -> Option<usize> {
        let full = self.0.iter().filter(|&&d| d > 0).try_fold(1usize, |n, &d| n.checked_mul(d))?;
        (full <= isize::MAX as usize / size_of::<f32>()).then(|| self.count())
    }

    /// Number of elements.
    pub fn count(&self) -> usize {
        self.0.iter().product()
    }

    /// Number of elements of the axes `from..` .
    pub fn count_from(&self, from: usize) -> usize {
        self.0[from..].iter().product()
    }

    /// Number of elements of the axes `..to`.
    pub fn count_to(&self, to: usize) -> usize {
        self.0[..to].iter().product()
    }

    /// The blob seen as `[outer, axis, inner]`.
    pub fn around(&self, axis: usize) -> (usize, usize, usize) {
        (self.count_to(axis), self.0[axis], self.count_from(axis + 1))
    }

    /// An axis counted from the front, or with a negative number from the back.
    pub fn axis(&self, axis: i32, field: &str) -> Result<usize, LayerError> {
        let len = self.0.len() as i64;
        let found = if axis < 0 { axis as i64 + len } else { axis as i64 };
        if (0..len).contains(&found) {
            return Ok(found as usize);
        }
        let has = match len {
            0 => "is a scalar".to_owned(),
            1 => format!("has 1 axis, {self}"),
            _ => format!("has {len} axes, {self}"),
        };
        Err(LayerError::field(field, format!("axis {axis} does not exist: the bottom {has}")))
    }

    /// This shape with the axes from `axis` on replaced.
    pub fn with_tail(&self, axis: usize, tail: &[usize]) -> Shape {
        let mut dims = SmallVec::from_slice(&self.0[..axis]);
        dims.extend_from_slice(tail);
        Shape(dims)
    }

    /// This shape with one axis of another length.
    pub fn with_axis(&self, axis: usize, length: usize) -> Shape {
        let mut shape = self.clone();
        shape.0[axis] = length;
        shape
    }

    /// As files and the original's legacy accessors want it: signed lengths.
    pub fn to_i64(&self) -> Vec<i64> {
        self.0.iter().map(|&d| d as i64).collect()
    }
}

impl Deref for Shape {
    type Target = [usize];
    fn deref(&self) -> &[usize] {
        &self.0
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(dims: [usize; N]) -> Shape {
        Shape::new(&dims)
    }
}

impl From<&[usize]> for Shape {
    fn from(dims: &[usize]) -> Shape {
        Shape::new(dims)
    }
}

impl From<Vec<usize>> for Shape {
    fn from(dims: Vec<usize>) -> Shape {
        Shape(dims.into())
    }
}

/// `64x3x224x224`, or `scalar`.
impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("scalar");
        }
        for (i, dim) in self.0.iter().enumerate() {
            write!(f, "{}{dim}", if i > 0 { "x" } else { "" })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
