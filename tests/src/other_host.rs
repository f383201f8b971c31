//! A host other than this one, for a server and everything it starts: one whose clock the vDSO cannot
//! read, so that each look at the clock is a system call; one whose kernel has less of Landlock. A
//! tracer (ptrace(2)) stands beside the server: it takes the vDSO out of what each new program is
//! told (getauxval(3)), and answers landlock_create_ruleset(2) as the other kernel would.

use std::{
    fs::File,
    io,
    os::unix::{fs::FileExt, process::CommandExt},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use libtest_mimic::Trial;
use nix::{
    errno::Errno,
    sys::{
        ptrace::{self, Event, Options},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};
use policy::syscalls;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch, apply_filter};

/// First word of a command line that is to run on the other host.
const BECOME: &str = "--on-another-host";
/// First word of the tracer's.
const TRACE: &str = "--trace-as-another-host";

/// Whether tests can have another host here: the tracer knows the registers of one architecture.
const POSSIBLE: bool = cfg!(target_arch = "x86_64");

/// A test that needs another host; it is ignored, and says so, where there can be none.
pub fn trial(trial: Trial) -> Trial {
    let skipped = "skipped: needs x86-64, whose registers the tracer knows";
    if POSSIBLE { trial } else { trial.with_kind(skipped).with_ignored_flag(true) }
}

/// The other host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtherHost {
    /// The vDSO does not answer.
    WithoutVdso,
    /// The kernel has this ABI of Landlock; 0: it has none.
    WithLandlock(u32),
}

impl OtherHost {
    /// Words in front of a server's command line. `place` is a directory for a file of the tracer's.
    pub fn under(self, place: &Path) -> Vec<String> {
        let own = std::env::current_exe().unwrap();
        let ready = place.join("traced");
        [own.to_str().unwrap(), BECOME, &self.name(), ready.to_str().unwrap()]
            .map(str::to_owned)
            .to_vec()
    }

    fn name(self) -> String {
        match self {
            OtherHost::WithoutVdso => "without-vdso".to_owned(),
            OtherHost::WithLandlock(abi) => abi.to_string(),
        }
    }

    fn from_name(name: &str) -> OtherHost {
        name.parse().map_or(OtherHost::WithoutVdso, OtherHost::WithLandlock)
    }
}

/// Whether this program was started to become a server on another host, or its tracer.
pub fn is_cast() -> bool {
    std::env::args().nth(1).is_some_and(|first| first == BECOME || first == TRACE)
}

/// Becomes it. Never returns.
pub fn play() -> ! {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [role, host, rest @ ..] = words.as_slice() else { panic!("{words:?}") };
    let host = OtherHost::from_name(host);
    match (role.as_str(), rest) {
        (TRACE, [pid, ready]) => trace(host, Pid::from_raw(pid.parse().unwrap()), ready),
        (BECOME, [ready, program, arguments @ ..]) => {
            become_traced(host, ready, program, arguments)
        }
        _ => panic!("{words:?}"),
    }
}

fn become_traced(host: OtherHost, ready: &str, program: &str, arguments: &[String]) -> ! {
    std::fs::remove_file(ready).ok();
    // By way of a shell that ends at once: the tracer is no child of the server.
    let started = Command::new("sh")
        .args(["-c", "\"$@\" &", "sh"])
        .arg(std::env::current_exe().unwrap())
        .args([TRACE, &host.name(), &std::process::id().to_string(), ready])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status();
    assert!(started.unwrap().success());
    crate::harness::eventually("the tracer", || Path::new(ready).exists().then_some(()));
    if let OtherHost::WithLandlock(_) = host {
        ask_the_tracer("landlock_create_ruleset");
    }
    panic!("{program}: {}", Command::new(program).args(arguments).exec());
}

/// From now on the tracer answers this system call.
fn ask_the_tracer(call: &str) {
    let rules = [(syscalls::number(call).unwrap(), Vec::new())].into();
    let arch = TargetArch::try_from(std::env::consts::ARCH).unwrap();
    let (traced, others) = (SeccompAction::Trace(0), SeccompAction::Allow);
    let filter = SeccompFilter::new(rules, others, traced, arch).unwrap();
    let program: BpfProgram = filter.try_into().unwrap();
    apply_filter(&program).unwrap();
}

/// Follows the process, and all that it starts, until the last of them has ended.
fn trace(host: OtherHost, first: Pid, ready: &str) -> ! {
    let options = Options::PTRACE_O_TRACEFORK
        | Options::PTRACE_O_TRACEVFORK
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEEXEC
        | Options::PTRACE_O_TRACESECCOMP;
    ptrace::seize(first, options).unwrap();
    std::fs::write(ready, "").unwrap();
    loop {
        match waitpid(None, Some(WaitPidFlag::__WALL)) {
            Ok(WaitStatus::PtraceEvent(pid, _, event)) => {
                if event == Event::PTRACE_EVENT_EXEC as i32 && host == OtherHost::WithoutVdso {
                    // A process that was killed meanwhile has nothing left to hide.
                    registers::hide_vdso(pid).ok();
                }
                if let OtherHost::WithLandlock(abi) = host
                    && event == Event::PTRACE_EVENT_SECCOMP as i32
                {
                    registers::create_ruleset(pid, abi).ok();
                }
                ptrace::cont(pid, None).ok();
            }
            Ok(WaitStatus::Stopped(pid, signal)) => {
                ptrace::cont(pid, signal).ok();
            }
            Ok(_) => {}
            Err(Errno::ECHILD) => std::process::exit(0),
            // A signal without a name.
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

/// The answer of a kernel with this ABI of Landlock to a request, if it is an error or the number.
fn answer(abi: u32, attributes: &[u64; 3], asks_version: bool) -> Option<i64> {
    if abi == 0 {
        return Some(-i64::from(Errno::EOPNOTSUPP as i32));
    }
    if asks_version {
        return Some(i64::from(abi));
    }
    // How many rights on files, TCP rights and scopes each ABI has, after linux/landlock.h.
    let known = match abi {
        1 => [13, 0, 0],
        2 => [14, 0, 0],
        3 => [15, 0, 0],
        4 => [15, 2, 0],
        5 => [16, 2, 0],
        _ => [16, 2, 2],
    };
    let refused = attributes.iter().zip(known).any(|(asked, bits)| asked >> bits != 0);
    // A ruleset that takes nothing is refused as well.
    let empty = attributes.iter().all(|asked| *asked == 0);
    if empty {
        return Some(-i64::from(Errno::ENOMSG as i32));
    }
    refused.then(|| -i64::from(Errno::EINVAL as i32))
}

/// What the tracer reads and changes of a process that it has stopped.
#[cfg(target_arch = "x86_64")]
mod registers {
    use super::{Errno, File, FileExt, Pid, answer, io, ptrace};

    /// `AT_SYSINFO_EHDR`: where the vDSO is.
    const VDSO: u64 = 33;
    /// `AT_IGNORE`: an entry that tells nothing.
    const IGNORE: u64 = 1;
    /// `LANDLOCK_CREATE_RULESET_VERSION`.
    const VERSION: u64 = 1;

    /// Lets a program that has just been executed not find the vDSO. Above its stack pointer are the
    /// number of its arguments, these, 0, its variables, 0, and pairs of what getauxval(3) tells.
    pub fn hide_vdso(pid: Pid) -> io::Result<()> {
        let memory = File::options().read(true).write(true).open(format!("/proc/{pid}/mem"))?;
        let word = |at: u64| {
            let mut bytes = [0; 8];
            memory.read_exact_at(&mut bytes, at).map(|()| u64::from_ne_bytes(bytes))
        };
        let mut at = ptrace::getregs(pid)?.rsp;
        at += 8 * (word(at)? + 2);
        while word(at)? != 0 {
            at += 8;
        }
        at += 8;
        while word(at)? != 0 {
            if word(at)? == VDSO {
                memory.write_all_at(&IGNORE.to_ne_bytes(), at)?;
            }
            at += 16;
        }
        Ok(())
    }

    /// Answers landlock_create_ruleset(2) instead of this kernel, or lets it.
    pub fn create_ruleset(pid: Pid, abi: u32) -> Result<(), Errno> {
        let mut registers = ptrace::getregs(pid)?;
        let memory = File::open(format!("/proc/{pid}/mem")).map_err(|_| Errno::ESRCH)?;
        let mut attributes = [0; 3];
        let words = usize::try_from(registers.rsi / 8).unwrap_or(0).min(3);
        for (index, attribute) in attributes.iter_mut().enumerate().take(words) {
            let mut bytes = [0; 8];
            let at = registers.rdi + 8 * u64::try_from(index).unwrap_or(0);
            memory.read_exact_at(&mut bytes, at).map_err(|_| Errno::EFAULT)?;
            *attribute = u64::from_ne_bytes(bytes);
        }
        if let Some(answer) = answer(abi, &attributes, registers.rdx & VERSION != 0) {
            // No such call: the kernel makes none, and gives back what stands in rax.
            registers.orig_rax = u64::MAX;
            registers.rax = u64::from_ne_bytes(answer.to_ne_bytes());
            ptrace::setregs(pid, registers)?;
        }
        Ok(())
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod registers {
    use super::{Errno, Pid, io};

    pub fn hide_vdso(_: Pid) -> io::Result<()> {
        Ok(())
    }

    pub fn create_ruleset(_: Pid, _: u32) -> Result<(), Errno> {
        Ok(())
    }
}
