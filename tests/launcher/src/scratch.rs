//! Where the suite keeps what it makes. In memory, if there is room: a suite makes and deletes hundreds of databases of hundreds
//! of files each, and ext4 looks at every file that was deleted in the last seconds whenever it makes one.

use crate::{Result, account::Account, output};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

/// The file system in memory of Linux.
const MEMORY: &str = "/dev/shm";
/// What a suite may fill, and leaves to everything else, in KiB: several times what it has been seen to take.
const ROOM: u64 = 6 << 20;

/// A new directory that another account can reach: root's own temporary directory may be closed to it.
pub fn directory(in_memory: bool) -> Result<PathBuf> {
    let parent = match (in_memory && has_room(), Account::is_root()?) {
        (true, _) => PathBuf::from(MEMORY),
        (false, true) => PathBuf::from("/tmp"),
        (false, false) => std::env::temp_dir(),
    };
    let path = parent.join(format!("tollkeeper-suite-{}", std::process::id()));
    fs::create_dir(&path).map_err(io(&path))?;
    Ok(path)
}

/// Makes the directory for temporary files within the suite's.
pub fn temporary(directory: &Path) -> Result<PathBuf> {
    let path = directory.join("tmp");
    fs::create_dir(&path).map_err(io(&path))?;
    // As /tmp itself: servers that tests start may run under accounts of their own.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o1777)).map_err(io(&path))?;
    Ok(path)
}

/// Whether both the file system and the memory behind it have room, and programs can be run from there, as those of examples
/// in documentation are.
fn has_room() -> bool {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let mount = mounts.lines().rev().find(|line| line.split(' ').nth(1) == Some(MEMORY));
    if mount.is_none_or(|line| line.split([' ', ',']).any(|option| option == "noexec")) {
        return false;
    }
    let free = output(Command::new("df").args(["-Pk", MEMORY])).ok();
    let free =
        free.as_deref().and_then(|table| table.lines().nth(1)?.split_whitespace().nth(3)?.parse().ok());
    let memory = fs::read_to_string("/proc/meminfo").ok();
    let available = memory.as_deref().and_then(|table| {
        let line = table.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
        line.split_whitespace().next()?.parse().ok()
    });
    [free, available].into_iter().all(|kib: Option<u64>| kib.is_some_and(|kib| kib >= ROOM))
}

fn io(path: &Path) -> impl Fn(std::io::Error) -> String {
    move |error| format!("{}: {error}", path.display())
}
