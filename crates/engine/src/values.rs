//! Between candle's tensors and plain slices: what the custom operations share.

use std::ops::{Deref, Range};

use candle_core::{CpuStorage, Device, Layout, Result, Shape, Storage, StorageRef, Tensor};
use idiolect_llm::LlmError;

/// The f32 values of a contiguous tensor on the processor, read where they lie.
pub(crate) struct Values<'a> {
    storage: StorageRef<'a>,
    range: Range<usize>,
}

impl Deref for Values<'_> {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match &*self.storage {
            Storage::Cpu(CpuStorage::F32(values)) => &values[self.range.clone()],
            // `values` made sure of it, and a storage never changes its kind.
            _ => &[],
        }
    }
}

/// Reads a tensor that is f32, contiguous and on the processor.
pub(crate) fn values(tensor: &Tensor) -> Result<Values<'_>> {
    let (storage, layout) = tensor.storage_and_layout();
    let range = contiguous(layout)?;
    if !matches!(&*storage, Storage::Cpu(CpuStorage::F32(_))) {
        candle_core::bail!("expected f32 on the processor");
    }
    Ok(Values { storage, range })
}

/// Reads the argument of a custom operation.
pub(crate) fn slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match storage {
        CpuStorage::F32(values) => Ok(&values[contiguous(layout)?]),
        _ => candle_core::bail!("expected f32"),
    }
}

fn contiguous(layout: &Layout) -> Result<Range<usize>> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(start..end),
        None => candle_core::bail!("expected a contiguous tensor"),
    }
}

/// The result of a custom operation.
pub(crate) fn result(values: Vec<f32>, shape: impl Into<Shape>) -> (CpuStorage, Shape) {
    (CpuStorage::F32(values), shape.into())
}

/// A tensor on the processor that takes over `values`.
pub(crate) fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> Result<Tensor> {
    Tensor::from_vec(values, shape, &Device::Cpu)
}

/// A device or shape failure as the model traits report it.
pub(crate) fn failed(error: candle_core::Error) -> LlmError {
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default().to_owned();
    // A backtrace may stand before the device's own words.
    if crate::device::is_out_of_memory(&text) {
        LlmError::OutOfMemory(first)
    } else {
        LlmError::Failed(first)
    }
}
