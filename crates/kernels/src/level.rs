//! Which instructions to use, found out when the program runs.
//!
//! A new level is a new variant here and a new module of kernels beside `avx2`; nothing is ever chosen when compiling.

use crate::KernelError;

/// The environment variable that forces a level.
const VARIABLE: &str = "IDIOLECT_CPU";

/// An instruction level, from plainest to fastest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Plain Rust, readable and slow: what every other level is tested against.
    Reference,
    /// x86-64 with AVX2, FMA and F16C (Haswell and Zen onwards).
    Avx2,
    /// The same with AVX-512 (F, BW, DQ, VL): twice the width in f32 products (Skylake-X, Zen 4 onwards).
    Avx512,
    /// The same with the matrix unit for bfloat16 (Sapphire Rapids onwards; Linux).
    Amx,
}

impl Level {
    const ALL: [Level; 4] = [Level::Reference, Level::Avx2, Level::Avx512, Level::Amx];

    /// The level that `IDIOLECT_CPU` names, else the best this processor has.
    ///
    /// # Errors
    /// When the variable names no level, or one this processor lacks; the text lists the choices.
    pub fn detect() -> Result<Level, KernelError> {
        Level::choose(
            std::env::var_os(VARIABLE)
                .map(|v| v.to_string_lossy().into_owned())
                .as_deref(),
        )
    }

    fn choose(forced: Option<&str>) -> Result<Level, KernelError> {
        let available = Level::available();
        let choices = || {
            available
                .iter()
                .map(|l| l.name())
                .collect::<Vec<_>>()
                .join(", ")
        };
        match forced.map(str::trim).filter(|v| !v.is_empty()) {
            None => Ok(available.iter().copied().max().unwrap_or(Level::Reference)),
            Some(value) => {
                let level = Level::ALL
                    .into_iter()
                    .find(|l| l.name().eq_ignore_ascii_case(value))
                    .ok_or_else(|| KernelError::UnknownLevel {
                        value: value.to_owned(),
                        choices: choices(),
                    })?;
                if level.is_available() {
                    Ok(level)
                } else {
                    Err(KernelError::UnsupportedLevel {
                        level: level.name(),
                        choices: choices(),
                    })
                }
            }
        }
    }

    /// The name as `IDIOLECT_CPU` spells it.
    pub fn name(self) -> &'static str {
        match self {
            Level::Reference => "reference",
            Level::Avx2 => "avx2",
            Level::Avx512 => "avx512",
            Level::Amx => "amx",
        }
    }

    /// Every level this processor can run, plainest first.
    pub fn available() -> Vec<Level> {
        Level::ALL
            .into_iter()
            .filter(|l| l.is_available())
            .collect()
    }

    /// Whether this processor can run the level. Kernels ask this before they enter `unsafe` code, so that a
    /// level made up by a caller falls back to the reference instead of an illegal instruction.
    pub fn is_available(self) -> bool {
        match self {
            Level::Reference => true,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => {
                std::arch::is_x86_feature_detected!("avx2")
                    && std::arch::is_x86_feature_detected!("fma")
                    && std::arch::is_x86_feature_detected!("f16c")
            }
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => {
                Level::Avx2.is_available()
                    && std::arch::is_x86_feature_detected!("avx512f")
                    && std::arch::is_x86_feature_detected!("avx512bw")
                    && std::arch::is_x86_feature_detected!("avx512dq")
                    && std::arch::is_x86_feature_detected!("avx512vl")
            }
            #[cfg(target_arch = "x86_64")]
            Level::Amx => Level::Avx512.is_available() && crate::x86::amx::is_available(),
            #[cfg(not(target_arch = "x86_64"))]
            Level::Avx2 | Level::Avx512 | Level::Amx => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_forced_takes_the_best_available() {
        assert_eq!(
            Level::choose(None).unwrap(),
            *Level::available().last().unwrap(),
            "the last listed is the fastest"
        );
        assert_eq!(
            Level::choose(Some(" ")).unwrap(),
            Level::choose(None).unwrap(),
            "a blank variable forces nothing"
        );
    }

    #[test]
    fn a_forced_level_is_taken_and_a_wrong_one_lists_the_choices() {
        assert_eq!(
            Level::choose(Some("Reference")).unwrap(),
            Level::Reference,
            "names ignore case"
        );
        let text = Level::choose(Some("sse9")).unwrap_err().to_string();
        assert!(
            text.contains("sse9") && text.contains("reference"),
            "names the value and the choices: {text}"
        );
        for missing in Level::ALL.into_iter().filter(|l| !l.is_available()) {
            let text = Level::choose(Some(missing.name())).unwrap_err().to_string();
            assert!(
                text.contains("does not have"),
                "an unsupported level is refused: {text}"
            );
        }
    }
}
