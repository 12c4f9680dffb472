//! What is in the memory of a process that keeps secrets stays there (SE-14).

/// Has no core dump written of this process, and of none that it starts.
pub fn write_no_cores() -> std::io::Result<()> {
    let none = rustix::process::Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    Ok(rustix::process::setrlimit(
        rustix::process::Resource::Core,
        none,
    )?)
}

/// Keeps other processes of this user from reading the memory of this one or tracing it. Where
/// `/dev/fd` leads through `/proc`, this process cannot open its own descriptors by name after it.
pub fn close_memory() -> std::io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    Ok(())
}
