//! Products of f32 that are added to what is there: `c += a · b`, where c is read and written once and often far larger than the
//! sums are deep.

use crate::primitives::{Primitives, TILE_COLS, TILE_ROWS, TileBuffer, WIDE_COLS, WIDE_ROWS};
use crate::slices::Strided;

/// Adds `a[rows, depth] · b[depth, cols]` to `c[rows, cols]`, whose rows lie `stride` apart. Each value takes up its products in the
/// order of depth, so that neither the rows beside it nor how a product is cut changes it. `b` holds whole blocks of 16 columns.
///
/// # Panics
/// When `a` or `b` hold less.
///
/// # Safety
/// `c` is good for that, and nobody else uses these places meanwhile.
pub(crate) unsafe fn add_product(
    with: &Primitives,
    (rows, depth, cols): (usize, usize, usize),
    a: Strided<'_>,
    b: Strided<'_>,
    (c, stride): (*mut f32, usize),
) {
    let mut left = 0;
    while let Some(wide) = with.wide_add.filter(|_| cols - left >= WIDE_COLS) {
        for row in (0..rows).step_by(WIDE_ROWS) {
            let tall = WIDE_ROWS.min(rows - row);
            // SAFETY: so many rows of so many columns, as the caller promised.
            unsafe {
                let c = c.add(row * stride + left);
                wide(tall, depth, a.from(row * a.stride), b.from(left), c, stride);
            }
        }
        left += WIDE_COLS;
    }
    for col in (left..cols).step_by(TILE_COLS) {
        let kept = TILE_COLS.min(cols - col);
        for row in (0..rows).step_by(TILE_ROWS) {
            let tall = TILE_ROWS.min(rows - row);
            // SAFETY: as above.
            let place = |i: usize| unsafe {
                std::slice::from_raw_parts_mut(c.add((row + i) * stride + col), kept)
            };
            let mut tile = TileBuffer::default();
            for (i, sums) in tile.iter_mut().take(tall).enumerate() {
                sums[..kept].copy_from_slice(place(i));
            }
            let (a, b) = (a.from(row * a.stride), b.from(col));
            (with.tile)(tall, depth, a, b, &mut tile);
            for (i, sums) in tile.iter().take(tall).enumerate() {
                place(i).copy_from_slice(&sums[..kept]);
            }
        }
    }
}
