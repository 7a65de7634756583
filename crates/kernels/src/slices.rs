//! Views of f32 memory that the kernels share: rows a stride apart, output written by several threads, scratch space.

use std::cell::Cell;
use std::marker::PhantomData;

/// Rows of f32 in a slice, `stride` apart.
#[derive(Clone, Copy)]
pub(crate) struct Strided<'a> {
    pub values: &'a [f32],
    pub stride: usize,
}

impl<'a> Strided<'a> {
    pub(crate) fn new(values: &'a [f32], stride: usize) -> Self {
        Self { values, stride }
    }

    /// The same rows from another starting value on.
    pub(crate) fn from(self, start: usize) -> Self {
        Self {
            values: &self.values[start..],
            stride: self.stride,
        }
    }

    /// Panics unless `rows` rows of `cols` values lie within the slice.
    #[inline]
    pub(crate) fn assert_holds(&self, rows: usize, cols: usize) {
        let needed = rows
            .checked_sub(1)
            .and_then(|last| last.checked_mul(self.stride))
            .and_then(|n| n.checked_add(cols));
        assert!(
            rows == 0 || needed.is_some_and(|n| n <= self.values.len()),
            "the rows reach past the slice"
        );
    }
}

/// A matrix whose parts are written by several threads.
///
/// Sound because each task writes its own columns or rows only, which the callers below see to.
pub(crate) struct SharedOutput<'a> {
    start: *mut f32,
    len: usize,
    stride: usize,
    _borrow: PhantomData<&'a mut [f32]>,
}

// SAFETY: writing is `unsafe` and its contract demands disjoint places; nothing else can be done through it.
unsafe impl Sync for SharedOutput<'_> {}

impl<'a> SharedOutput<'a> {
    pub(crate) fn new(values: &'a mut [f32], stride: usize) -> Self {
        Self {
            start: values.as_mut_ptr(),
            len: values.len(),
            stride,
            _borrow: PhantomData,
        }
    }

    /// Part of row `row`, from column `col` on.
    ///
    /// # Safety
    /// No other part handed out while this one lives overlaps it.
    ///
    /// # Panics
    /// When the part does not lie within the matrix.
    #[allow(clippy::mut_from_ref)] // disjointness is the caller's promise
    pub(crate) unsafe fn part(&self, row: usize, col: usize, len: usize) -> &mut [f32] {
        let at = row * self.stride + col;
        assert!(
            at <= self.len && len <= self.len - at,
            "the part lies within the output"
        );
        // SAFETY: in bounds as just checked, borrowed mutably for 'a, disjoint from others as promised.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(at), len) }
    }
}

impl SharedOutput<'_> {
    /// Where a rectangle begins, and how far apart its rows are; for code that writes whole rectangles at once. Writing is
    /// sound where [`SharedOutput::part`] would be for every row.
    ///
    /// # Panics
    /// When the rectangle does not lie within the matrix.
    pub(crate) fn rectangle(
        &self,
        row: usize,
        rows: usize,
        col: usize,
        cols: usize,
    ) -> (*mut f32, usize) {
        assert!(rows > 0 && col + cols <= self.stride, "within the columns");
        assert!(
            (row + rows - 1) * self.stride + col + cols <= self.len,
            "within the rows"
        );
        // SAFETY: within the allocation, as just checked.
        (
            unsafe { self.start.add(row * self.stride + col) },
            self.stride,
        )
    }
}

/// Values whose parts are written by several threads.
pub(crate) struct SharedSlice<'a, T> {
    start: *mut T,
    len: usize,
    _borrow: PhantomData<&'a mut [T]>,
}

// SAFETY: as `SharedOutput`.
unsafe impl<T: Send> Sync for SharedSlice<'_, T> {}

impl<'a, T> SharedSlice<'a, T> {
    pub(crate) fn new(values: &'a mut [T]) -> Self {
        Self {
            start: values.as_mut_ptr(),
            len: values.len(),
            _borrow: PhantomData,
        }
    }

    /// `len` values from `at` on.
    ///
    /// # Safety
    /// No other part handed out while this one lives overlaps it.
    ///
    /// # Panics
    /// When the part does not lie within.
    #[allow(clippy::mut_from_ref)] // disjointness is the caller's promise
    pub(crate) unsafe fn part(&self, at: usize, len: usize) -> &mut [T] {
        assert!(at <= self.len && len <= self.len - at, "within the slice");
        // SAFETY: as in `SharedOutput::part`.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(at), len) }
    }
}

/// Calls `work` with `len` floats of scratch memory, of any content, kept by the thread for the next call.
pub(crate) fn with_scratch<R>(len: usize, work: impl FnOnce(&mut [f32]) -> R) -> R {
    thread_local! {
        static SCRATCH: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
    }
    // Taken out rather than borrowed: a thread that waits inside `work` may start another task that needs scratch too.
    let mut scratch = SCRATCH.take();
    if scratch.len() < len {
        scratch.resize(len, 0.0);
    }
    let result = work(&mut scratch[..len]);
    SCRATCH.set(scratch);
    result
}
