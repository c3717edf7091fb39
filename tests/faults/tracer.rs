//! strace: which calls threads make, and the failure of one of them.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::server::eventually;

/// A call that fails.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub(crate) call: String,
    /// The number of the call among those of a thread; `None`: each call of it fails.
    pub(crate) nth: Option<usize>,
    /// The error, or `delay_enter=` with a time: then the call takes this long.
    pub(crate) error: &'static str,
}

/// Calls that no path is judged by: they touch neither a file nor a socket, or cannot fail.
/// Memory is left out too: a program whose allocations fail ends (std aborts).
const LEFT_OUT: &str = "futex,brk,mmap,munmap,mremap,madvise,mprotect,rt_sigaction,\
    rt_sigprocmask,rt_sigreturn,sigaltstack,sched_yield,sched_getaffinity,gettid,getpid,getuid,\
    geteuid,getgid,getegid,getgroups,getrandom,clock_gettime,gettimeofday,restart_syscall,exit,exit_group,\
    set_robust_list,rseq,arch_prctl,set_tid_address,prlimit64,execve,umask,capget,kill,tgkill";

/// A running strace.
pub(crate) struct Tracer {
    child: Child,
    output: PathBuf,
}

/// What was seen of the threads.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// The number of calls by name: the highest one of a thread.
    pub(crate) calls: BTreeMap<String, usize>,
    /// The calls that were made to fail, as strace shows them.
    pub(crate) injected: Vec<String>,
}

impl Tracer {
    /// Attaches to threads, which make no calls meanwhile.
    pub(crate) fn attach(
        threads: &[u32],
        also: &str,
        fault: Option<&Fault>,
        output: &Path,
    ) -> Self {
        Self::run(strace(also, fault, output), threads, output)
    }

    /// Attaches a strace to threads. With `-f`, the process is enough.
    pub(crate) fn run(mut command: Command, threads: &[u32], output: &Path) -> Self {
        for thread in threads {
            command.args(["-p", &thread.to_string()]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("strace");
        let told = BufReader::new(child.stderr.take().expect("a pipe"));
        let mut attached =
            told.lines().map_while(Result::ok).filter(|l| l.contains("attached"));
        for _ in threads {
            attached.next().expect("strace attaches");
        }
        // what it says later is of no interest, but the pipe must stay open
        std::thread::spawn(move || attached.count());
        Self { child, output: output.to_owned() }
    }

    /// Ends strace, which lets the threads go on.
    pub(crate) fn end(mut self) -> Seen {
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").args(["-INT", &pid]).status();
        let _ = self.child.wait();
        Seen::read(&self.output)
    }
}

/// Whether strace is installed.
pub(crate) fn is_there() -> bool {
    Command::new("strace").arg("-V").stdout(Stdio::null()).status().is_ok()
}

/// Waits for threads of a process whose names begin with one of these, and returns them. A server
/// announces itself before it starts most of its threads, and each of them takes its name when it
/// runs.
pub(crate) fn threads(process: u32, fronts: &[&str]) -> Vec<u32> {
    let mut found = Vec::new();
    eventually("threads with these names run", || {
        found = named(process, fronts);
        !found.is_empty()
    });
    found
}

fn named(process: u32, fronts: &[&str]) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).expect("it runs");
    tasks
        .map_while(Result::ok)
        .filter(|task| {
            let name = fs::read(task.path().join("comm")).unwrap_or_default();
            fronts.iter().any(|front| name.starts_with(front.as_bytes()))
        })
        .filter_map(|task| task.file_name().to_str()?.parse().ok())
        .collect()
}

/// Returns strace's command line up to what it traces.
pub(crate) fn strace(also: &str, fault: Option<&Fault>, output: &Path) -> Command {
    let mut command = Command::new("strace");
    command.args(["-y", "-s", "40", "-o"]).arg(output);
    match fault {
        None => {
            let also: Vec<_> = also.split(',').collect();
            let out = LEFT_OUT.split(',').filter(|name| !also.contains(name));
            command.args(["-e", &format!("trace=!{}", out.collect::<Vec<_>>().join(","))])
        }
        Some(Fault { call, nth, error }) => {
            let when = nth.map_or_else(|| "1+".to_owned(), |nth| nth.to_string());
            let kind = if error.starts_with("delay_") { "" } else { "error=" };
            let inject = format!("inject={call}:{kind}{error}:when={when}");
            command.args(["-e", &format!("trace={call}"), "-e", &inject])
        }
    };
    command
}

impl Seen {
    /// Reads what strace has written.
    pub(crate) fn read(output: &Path) -> Self {
        let text = fs::read(output).unwrap_or_default();
        let mut each = BTreeMap::<(String, String), usize>::new();
        let mut seen = Self::default();
        for line in String::from_utf8_lossy(&text).lines() {
            if line.contains("(INJECTED)") || line.contains("(DELAYED)") {
                seen.injected.push(line.to_owned());
            }
            // with several threads, each line begins with the number of one
            let (thread, rest) = match line.split_once(char::is_whitespace) {
                Some((first, rest)) if first.bytes().all(|byte| byte.is_ascii_digit()) => {
                    (first, rest.trim_start())
                }
                _ => ("", line),
            };
            let Some((name, _)) = rest.split_once('(') else { continue };
            if !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            {
                *each.entry((thread.to_owned(), name.to_owned())).or_default() += 1;
            }
        }
        for ((_, name), count) in each {
            let most = seen.calls.entry(name).or_default();
            *most = count.max(*most);
        }
        seen
    }
}
