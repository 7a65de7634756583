//! The residual connection.

use super::VALUES_A_TASK;
use crate::team;

/// `y = a + b`, value by value.
///
/// # Panics
/// When the slices differ in length.
pub fn add(a: &[f32], b: &[f32], y: &mut [f32]) {
    assert_eq!(a.len(), b.len(), "a and b have one shape");
    assert_eq!(a.len(), y.len(), "y has the shape of a");
    team::for_each_piece(y, VALUES_A_TASK, |start, y| {
        let here = start..start + y.len();
        for ((y, a), b) in y.iter_mut().zip(&a[here.clone()]).zip(&b[here]) {
            *y = a + b;
        }
    });
}
