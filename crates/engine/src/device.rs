//! Choosing where to compute, and saying why.

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
    choose(wish, None).map(|chosen| chosen.choice)
}

/// Finds the device that was wished for; `threads` of the processor, or [`default_threads`].
///
/// # Errors
/// [`LlmError::Unsupported`] when a device was named that this build or machine lacks, or `IDIOLECT_CPU` names an
/// instruction level it lacks.
pub(crate) fn choose(wish: DeviceWish, threads: Option<usize>) -> Result<Chosen> {
    let level = Level::detect().map_err(|e| LlmError::Unsupported(e.to_string()))?;
    let threads = threads.unwrap_or_else(default_threads).max(1);
    let chosen = |kind, device, label: String, why: String| Chosen {
        choice: DeviceChoice { kind, label, why },
        device,
        level,
        threads,
    };
    let cpu = |why: String| {
        let plural = if threads == 1 { "" } else { "s" };
        let label = format!(
            "CPU ({threads} thread{plural}, {})",
            level.name().to_uppercase()
        );
        chosen(DeviceKind::Cpu, Device::Cpu, label, why)
    };
    match wish {
        DeviceWish::Cpu => Ok(cpu("The processor was asked for.".into())),
        DeviceWish::Cuda => cuda()
            .map(|device| {
                chosen(
                    DeviceKind::Cuda,
                    device,
                    "CUDA (GPU 0)".into(),
                    "CUDA was asked for.".into(),
                )
            })
            .map_err(LlmError::Unsupported),
        DeviceWish::Metal => metal()
            .map(|device| {
                chosen(
                    DeviceKind::Metal,
                    device,
                    "Metal".into(),
                    "Metal was asked for.".into(),
                )
            })
            .map_err(LlmError::Unsupported),
        DeviceWish::Auto => Ok(match (cuda(), metal()) {
            (Ok(device), _) => chosen(
                DeviceKind::Cuda,
                device,
                "CUDA (GPU 0)".into(),
                "A GPU was found; CUDA is the fastest there is here.".into(),
            ),
            (_, Ok(device)) => chosen(
                DeviceKind::Metal,
                device,
                "Metal".into(),
                "The Mac's GPU was found.".into(),
            ),
            (Err(no_cuda), Err(no_metal)) => cpu(if cfg!(target_os = "macos") {
                no_metal
            } else {
                no_cuda
            }),
        }),
    }
}

fn cuda() -> std::result::Result<Device, String> {
    if !cfg!(feature = "cuda") {
        return Err("This build has no CUDA support.".into());
    }
    Device::new_cuda(0).map_err(|e| format!("No CUDA device could be opened: {}", first_line(&e)))
}

fn metal() -> std::result::Result<Device, String> {
    if !cfg!(feature = "metal") {
        return Err("This build has no Metal support.".into());
    }
    Device::new_metal(0).map_err(|e| format!("No Metal device could be opened: {}", first_line(&e)))
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

    #[test]
    fn a_wish_is_met_or_refused_with_the_reason() {
        let cpu = choose(DeviceWish::Cpu, Some(3)).unwrap();
        assert_eq!(
            cpu.choice.kind,
            DeviceKind::Cpu,
            "the processor is always there"
        );
        assert!(
            cpu.choice.label.contains("3 threads"),
            "{}",
            cpu.choice.label
        );
        if !cfg!(feature = "cuda") {
            let text = choose(DeviceWish::Cuda, None).unwrap_err().to_string();
            assert!(text.contains("no CUDA support"), "{text}");
            assert!(
                !choose(DeviceWish::Auto, None)
                    .unwrap()
                    .choice
                    .why
                    .is_empty(),
                "says why not"
            );
        }
    }
}
