//! The packed types as constants, so that one generic function serves all of them.

use crate::QuantType;
use crate::packed::Layout;

pub(crate) const Q4_0: u8 = 0;
pub(crate) const Q4_1: u8 = 1;
pub(crate) const Q5_0: u8 = 2;
pub(crate) const Q5_1: u8 = 3;
pub(crate) const Q8_0: u8 = 4;
pub(crate) const Q4K: u8 = 5;
pub(crate) const Q5K: u8 = 6;
pub(crate) const Q6K: u8 = 7;

/// Calls the function for the type's constant.
macro_rules! dispatch {
    ($ty:expr, $function:ident, $($argument:expr),*) => {
        match $ty {
            QuantType::Q4_0 => $function::<{ kind::Q4_0 }>($($argument),*),
            QuantType::Q4_1 => $function::<{ kind::Q4_1 }>($($argument),*),
            QuantType::Q5_0 => $function::<{ kind::Q5_0 }>($($argument),*),
            QuantType::Q5_1 => $function::<{ kind::Q5_1 }>($($argument),*),
            QuantType::Q8_0 => $function::<{ kind::Q8_0 }>($($argument),*),
            QuantType::Q4K => $function::<{ kind::Q4K }>($($argument),*),
            QuantType::Q5K => $function::<{ kind::Q5K }>($($argument),*),
            QuantType::Q6K => $function::<{ kind::Q6K }>($($argument),*),
            QuantType::F32 | QuantType::F16 | QuantType::BF16 => {
                unreachable!("{} has no integers", $ty.name())
            }
        }
    };
}
pub(crate) use dispatch;

/// The type's layout.
pub(crate) const fn layout(kind: u8) -> Layout {
    let ty = match kind {
        Q4_0 => QuantType::Q4_0,
        Q4_1 => QuantType::Q4_1,
        Q5_0 => QuantType::Q5_0,
        Q5_1 => QuantType::Q5_1,
        Q8_0 => QuantType::Q8_0,
        Q4K => QuantType::Q4K,
        Q5K => QuantType::Q5K,
        _ => QuantType::Q6K,
    };
    Layout::of(ty)
}

/// Bits of an integer.
pub(crate) const fn bits(kind: u8) -> u8 {
    match kind {
        Q4_0 | Q4_1 | Q4K => 4,
        Q5_0 | Q5_1 | Q5K => 5,
        Q6K => 6,
        _ => 8,
    }
}

/// What is taken off the integers of types without a minimum.
pub(crate) const fn centre(kind: u8) -> f32 {
    match kind {
        Q4_0 => 8.0,
        Q5_0 => 16.0,
        Q6K => 32.0,
        Q8_0 => 128.0,
        _ => 0.0,
    }
}
