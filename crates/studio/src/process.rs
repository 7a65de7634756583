//! Facts about this process and machine: memory and threads. Linux reads /proc; elsewhere unknown is 0.

/// Peak resident set of the process, bytes; 0 where the system does not say.
pub(crate) fn peak_bytes() -> u64 {
    status_kilobytes("VmHWM:") * 1024
}

/// Memory that could be used now without swapping, bytes; 0 where the system does not say.
pub(crate) fn free_bytes() -> u64 {
    crate::memory::free_bytes().unwrap_or(0)
}

fn status_kilobytes(name: &str) -> u64 {
    std::fs::read_to_string("/proc/self/status").map_or(0, |text| field(&text, name))
}

fn field(text: &str, name: &str) -> u64 {
    text.lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_kernel_s_format() {
        assert_eq!(
            field("VmPeak:\t 10 kB\nVmHWM:\t  2048 kB\n", "VmHWM:"),
            2048
        );
        assert_eq!(field("nothing here", "VmHWM:"), 0);
    }
}
