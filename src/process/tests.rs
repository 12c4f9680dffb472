use std::process::{Child, Command, Stdio};

use super::*;

/// A process that ends when its standard input does.
fn child() -> Child {
    Command::new("cat")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("it starts")
}

#[tokio::test]
async fn the_end_of_a_process_is_noticed_even_while_nobody_has_collected_it() {
    let mut child = child();
    let process = find(child.id()).expect("it lives, and it is ours");
    assert!(lives(&process).expect("seen"));
    let end = ended(&process);
    tokio::pin!(end);
    let waiting = futures_util::poll!(&mut end);
    assert!(waiting.is_pending(), "it lives");
    drop(child.stdin.take());
    end.await;
    assert!(!lives(&process).expect("seen"), "a zombie does not live");
    assert_eq!(find(process.pid), Err(ProcessError::Gone));
    child.wait().expect("it ended");
    ended(&process).await;
}

#[tokio::test]
async fn another_process_with_the_same_number_is_another_process() {
    let mut child = child();
    let process = find(child.id()).expect("it lives");
    let earlier = BoundProcess {
        started: process.started - 1,
        ..process.clone()
    };
    assert!(!lives(&earlier).expect("seen"));
    ended(&earlier).await;
    #[cfg(target_os = "linux")]
    {
        let boot = Some("another run of the kernel".to_owned());
        let before = BoundProcess { boot, ..process };
        assert!(!lives(&before).expect("seen"));
        ended(&before).await;
    }
    child.kill().expect("it ran");
    child.wait().expect("it ended");
}

#[test]
fn only_processes_of_this_user_can_be_bound_to() {
    assert_eq!(find(u32::MAX), Err(ProcessError::Gone));
    assert_eq!(find(0), Err(ProcessError::Gone));
    let own = find(std::process::id()).expect("it is ours");
    assert!(own.exe.is_some());
}

#[cfg(target_os = "linux")]
mod stat {
    use super::super::linux::{Stat, look};

    #[test]
    fn names_may_hold_anything() {
        let rest = "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20 21";
        for name in ["cat", "a) S 1", "((", "x y", ""] {
            let line = format!("12 ({name}) {rest}");
            let stat = Stat::parse(&line).expect("a line");
            let found = (stat.name, stat.state, stat.started);
            assert_eq!(found, (name, 'S', 4711), "{line}");
        }
        for line in ["", "12 cat S 1", "12 (cat) S 1 2", "12 (cat)"] {
            assert!(Stat::parse(line).is_none(), "{line}");
        }
    }

    #[test]
    fn a_thread_is_no_process() {
        let (told, number) = std::sync::mpsc::channel();
        let (release, wait) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            let place = std::fs::read_link("/proc/thread-self").expect("a link");
            told.send(place).expect("asked");
            let _ = wait.recv();
        });
        let place = number.recv().expect("told");
        let number = place
            .file_name()
            .and_then(|name| name.to_str()?.parse().ok());
        let number = number.expect("its last part is the number");
        assert!(std::path::Path::new(&format!("/proc/{number}/stat")).exists());
        assert!(look(number).expect("seen").is_none());
        drop(release);
        thread.join().expect("no panic");
    }
}
