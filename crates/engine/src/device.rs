//! Choosing where to compute, and saying why, and why not somewhere better.

use candle_core::Device;
use idiolect_kernels::Level;
use idiolect_llm::{DeviceChoice, DeviceKind, DeviceWish, LlmError, Result};

/// A chosen device with what computing on it needs.
#[derive(Debug, Clone)]
pub(crate) struct Chosen {
    /// Which, and why, in words.
    pub(crate) choice: DeviceChoice,
    /// candle's handle.
    pub(crate) device: Device,
    /// Instructions of the processor.
    pub(crate) level: Level,
    /// Threads of the processor.
    pub(crate) threads: usize,
}

/// A graphics processor that could be opened.
#[derive(Debug, Clone)]
pub(crate) struct Gpu {
    device: Device,
    /// "CUDA (GPU 0)".
    label: String,
    /// Bytes free and in all, where the driver says.
    memory: Option<(u64, u64)>,
}

/// Looks for graphics processors; a test has others.
pub(crate) trait Gpus {
    /// NVIDIA's, or why there is none, as the end of a sentence.
    fn cuda(&self) -> std::result::Result<Gpu, String>;
    /// Apple's.
    fn metal(&self) -> std::result::Result<Gpu, String>;
}

/// What this build and machine have.
pub(crate) struct Machine;

impl Gpus for Machine {
    fn cuda(&self) -> std::result::Result<Gpu, String> {
        if !cfg!(feature = "cuda") {
            return Err("this build has no CUDA".into());
        }
        let device = Device::new_cuda(0)
            .map_err(|e| format!("no CUDA device could be opened ({})", first_line(&e)))?;
        Ok(Gpu {
            memory: cuda_memory(),
            device,
            label: "CUDA (GPU 0)".into(),
        })
    }

    fn metal(&self) -> std::result::Result<Gpu, String> {
        if !cfg!(feature = "metal") {
            return Err("this build has no Metal".into());
        }
        let device = Device::new_metal(0)
            .map_err(|e| format!("no Metal device could be opened ({})", first_line(&e)))?;
        Ok(Gpu {
            device,
            label: "Metal".into(),
            // Shared with the processor, so that what is free there is what counts.
            memory: None,
        })
    }
}

/// Of the device whose context this thread holds, which opening it made current.
#[cfg(feature = "cuda")]
fn cuda_memory() -> Option<(u64, u64)> {
    let (free, all) = candle_core::cuda_backend::cudarc::driver::result::mem_get_info().ok()?;
    Some((free as u64, all as u64))
}

#[cfg(not(feature = "cuda"))]
fn cuda_memory() -> Option<(u64, u64)> {
    None
}

/// Physical cores that this process may use: a second thread on a core slows matrix products down.
pub fn default_threads() -> usize {
    let allowed = std::thread::available_parallelism().map_or(1, usize::from);
    num_cpus::get_physical().clamp(1, allowed)
}

/// The device that a wish comes to on this machine, in words, without loading anything.
///
/// # Errors
/// As when a model is loaded for it.
pub fn choose_device(wish: DeviceWish) -> Result<DeviceChoice> {
    choose(&Machine, wish, None, None).map(|chosen| chosen.choice)
}

/// Finds the device that was wished for; `threads` of the processor, or [`default_threads`]; `needed` bytes, where the model is
/// known. A device that is wished for by name is taken or refused; [`DeviceWish::Auto`] takes the best that has the memory.
///
/// # Errors
/// [`LlmError::Unsupported`] when a device was named that this build or machine lacks, or `IDIOLECT_CPU` names an
/// instruction level it lacks.
pub(crate) fn choose(
    gpus: &dyn Gpus,
    wish: DeviceWish,
    threads: Option<usize>,
    needed: Option<u64>,
) -> Result<Chosen> {
    let named = |kind, gpu: std::result::Result<Gpu, String>, name: &str| -> Result<_> {
        let gpu = gpu.map_err(LlmError::Unsupported)?;
        Ok((kind, gpu, format!("{name} was asked for.")))
    };
    let (kind, gpu, why) = match wish {
        DeviceWish::Cpu => return cpu(threads, "the processor was asked for.".into()),
        DeviceWish::Cuda => named(DeviceKind::Cuda, gpus.cuda(), "CUDA")?,
        DeviceWish::Metal => named(DeviceKind::Metal, gpus.metal(), "Metal")?,
        DeviceWish::Auto => match best(gpus, needed) {
            Ok(found) => found,
            Err(why_not) => return cpu(threads, why_not + "."),
        },
    };
    Ok(Chosen {
        choice: DeviceChoice {
            kind,
            label: gpu.label,
            why,
        },
        device: gpu.device,
        ..cpu(threads, String::new())?
    })
}

/// The best graphics processor with room for the model, or why there is none.
fn best(
    gpus: &dyn Gpus,
    needed: Option<u64>,
) -> std::result::Result<(DeviceKind, Gpu, String), String> {
    let cuda = gpus.cuda().and_then(|gpu| roomy(gpu, needed));
    let metal = gpus.metal().and_then(|gpu| roomy(gpu, needed));
    match (cuda, metal) {
        (Ok(gpu), _) => {
            let why = format!("it is the fastest there is here{}.", room(&gpu));
            Ok((DeviceKind::Cuda, gpu, why))
        }
        (_, Ok(gpu)) => Ok((DeviceKind::Metal, gpu, "it is the Mac's GPU.".into())),
        // What this system could have had.
        (Err(no_cuda), Err(no_metal)) => Err(if cfg!(target_os = "macos") {
            no_metal
        } else {
            no_cuda
        }),
    }
}

fn roomy(gpu: Gpu, needed: Option<u64>) -> std::result::Result<Gpu, String> {
    match (gpu.memory, needed) {
        (Some((free, all)), Some(needed)) if needed > free => Err(format!(
            "{} was found, but {} GB of its {} are free, and the model needs {}",
            gpu.label,
            gigabytes(free),
            gigabytes(all),
            gigabytes(needed)
        )),
        _ => Ok(gpu),
    }
}

fn room(gpu: &Gpu) -> String {
    gpu.memory.map_or_else(String::new, |(free, all)| {
        format!(", with {} GB of {} free", gigabytes(free), gigabytes(all))
    })
}

fn gigabytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / 1e9)
}

/// The processor, with the reason as a sentence that follows its name.
pub(crate) fn cpu(threads: Option<usize>, why: String) -> Result<Chosen> {
    let level = Level::detect().map_err(|e| LlmError::Unsupported(e.to_string()))?;
    let threads = threads.unwrap_or_else(default_threads).max(1);
    let plural = if threads == 1 { "" } else { "s" };
    let instructions = level.name().to_uppercase();
    Ok(Chosen {
        choice: DeviceChoice {
            kind: DeviceKind::Cpu,
            label: format!("CPU ({threads} thread{plural}, {instructions})"),
            why,
        },
        device: Device::Cpu,
        level,
        threads,
    })
}

/// Why the processor is used after all: "CUDA (GPU 0) ran out of memory: …".
pub(crate) fn ran_out(device: &DeviceChoice, error: &str) -> String {
    format!("{} ran out of memory ({error}).", device.label)
}

/// Whether a device's error means that its memory is used up: as CUDA's driver, cuBLAS and Metal spell it.
pub(crate) fn is_out_of_memory(error: &str) -> bool {
    const SPELLINGS: [&str; 7] = [
        "out of memory",
        "OUT_OF_MEMORY",
        "ALLOC_FAILED",
        "OutOfMemory",
        "InsufficientMemory",
        "Insufficient Memory",
        "failed to create metal resource: buffer",
    ];
    let lower = error.to_lowercase();
    SPELLINGS.iter().any(|s| lower.contains(&s.to_lowercase()))
}

/// Runs `work` on `device`; where that runs out of memory and is not the processor, `instead` with the reason.
pub(crate) fn or_on_the_processor<T>(
    device: &DeviceChoice,
    work: impl FnOnce() -> Result<T>,
    instead: impl FnOnce(String) -> Result<T>,
) -> Result<T> {
    match work() {
        Err(LlmError::OutOfMemory(error)) if device.kind != DeviceKind::Cpu => {
            instead(ran_out(device, &error))
        }
        done => done,
    }
}

fn first_line(error: &candle_core::Error) -> String {
    error
        .to_string()
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Machines that are not here. What is computed on them is computed on the processor.
    struct Pretended {
        cuda: Option<(u64, u64)>,
        metal: bool,
    }

    impl Gpus for Pretended {
        fn cuda(&self) -> std::result::Result<Gpu, String> {
            let memory = self
                .cuda
                .ok_or("no CUDA device could be opened (no driver)")?;
            Ok(Gpu {
                device: Device::Cpu,
                label: "CUDA (GPU 0)".into(),
                memory: Some(memory),
            })
        }

        fn metal(&self) -> std::result::Result<Gpu, String> {
            let gpu = Gpu {
                device: Device::Cpu,
                label: "Metal".into(),
                memory: None,
            };
            self.metal
                .then_some(gpu)
                .ok_or("this build has no Metal".into())
        }
    }

    fn auto(machine: &Pretended, needed: u64) -> DeviceChoice {
        choose(machine, DeviceWish::Auto, Some(2), Some(needed))
            .unwrap()
            .choice
    }

    #[test]
    fn the_best_that_has_room_is_taken_and_the_words_say_why_not_a_better_one() {
        const GB: u64 = 1_000_000_000;
        let large = Pretended {
            cuda: Some((7 * GB, 8 * GB)),
            metal: false,
        };
        let choice = auto(&large, 2 * GB);
        assert_eq!(choice.kind, DeviceKind::Cuda);
        assert!(choice.why.contains("7.0 GB of 8.0"), "{}", choice.why);
        let full = Pretended {
            cuda: Some((GB / 5 * 6, 8 * GB)),
            metal: false,
        };
        let choice = auto(&full, GB / 10 * 21);
        assert_eq!(choice.kind, DeviceKind::Cpu);
        assert_eq!(
            choice.why,
            "CUDA (GPU 0) was found, but 1.2 GB of its 8.0 are free, and the model needs 2.1."
        );
        let asked = choose(&full, DeviceWish::Cuda, None, Some(3 * GB)).unwrap();
        assert_eq!(
            asked.choice.kind,
            DeviceKind::Cuda,
            "by name it is tried all the same"
        );
        let mac = Pretended {
            cuda: None,
            metal: true,
        };
        assert_eq!(auto(&mac, GB).kind, DeviceKind::Metal);
        let forced = choose(&large, DeviceWish::Cpu, Some(3), Some(GB))
            .unwrap()
            .choice;
        assert_eq!(forced.kind, DeviceKind::Cpu, "the processor can be forced");
        assert!(forced.label.contains("3 threads"), "{}", forced.label);
        let none = Pretended {
            cuda: None,
            metal: false,
        };
        assert!(
            auto(&none, GB).why.ends_with('.'),
            "{}",
            auto(&none, GB).why
        );
        let error = choose(&none, DeviceWish::Cuda, None, None)
            .unwrap_err()
            .to_string();
        assert!(error.contains("no driver"), "{error}");
    }

    #[test]
    fn this_build_says_what_it_lacks() {
        if !cfg!(feature = "cuda") {
            let text = choose_device(DeviceWish::Cuda).unwrap_err().to_string();
            assert!(text.contains("no CUDA"), "{text}");
        }
        assert!(!choose_device(DeviceWish::Auto).unwrap().why.is_empty());
    }

    #[test]
    fn memory_that_runs_out_on_a_gpu_sends_the_work_to_the_processor() {
        for error in [
            "DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")",
            "cublas error: CUBLAS_STATUS_ALLOC_FAILED",
            "Metal error Failed to create metal resource: Buffer",
            "InsufficientMemory",
        ] {
            assert!(is_out_of_memory(error), "{error}");
        }
        assert!(!is_out_of_memory("shape mismatch in matmul"));
        let gpu = DeviceChoice {
            kind: DeviceKind::Cuda,
            label: "CUDA (GPU 0)".into(),
            why: String::new(),
        };
        let full = || Err(LlmError::OutOfMemory("no room".into()));
        let why = or_on_the_processor(&gpu, full, Ok).unwrap();
        assert_eq!(why, "CUDA (GPU 0) ran out of memory (no room).");
        let failed = || Err(LlmError::Failed("a bug".into()));
        assert!(
            or_on_the_processor(&gpu, failed, Ok).is_err(),
            "only for memory"
        );
        let cpu = cpu(None, String::new()).unwrap().choice;
        assert!(
            or_on_the_processor(&cpu, full, Ok).is_err(),
            "nowhere else to go"
        );
    }
}
