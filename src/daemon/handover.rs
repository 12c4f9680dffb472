//! One daemon after another: the newer program asks the daemon that runs for its sockets, and goes
//! on where that one stops. The sockets are never closed, so nobody is turned away; the store is
//! never shared, since the lock passes over only when the older one has let go of it.

use std::io::{IoSlice, IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::failed;
use super::sockets::{Given, Keeper};
use crate::api::{self, Stopping};
use crate::ctl::{Client, Fault};
use crate::failpoint;
use crate::model::catalogue::{Code, Problem};
use crate::paths::{InstanceLock, Paths, ensure_private_dir};

/// How long one of two daemons waits for the other to take or to give what is ready.
const AT_HAND: Duration = Duration::from_secs(5);

/// How long a daemon may take to end, beyond the time that running calls are given: refreshes are
/// waited for, and the store is closed.
const BEYOND_DRAIN: Duration = Duration::from_secs(75);

/// The sockets that a daemon serves on, once more. Those who knock wait while one is open.
pub(super) struct Copies {
    agents: TcpListener,
    control: UnixListener,
    keeper: Keeper,
}

/// What goes with the sockets.
#[derive(Serialize, Deserialize)]
struct Label {
    /// Whether somebody else holds them too, and is not to find them removed.
    kept: bool,
}

impl Copies {
    pub(super) fn of(
        agents: &TcpListener,
        control: &UnixListener,
        keeper: Keeper,
    ) -> std::io::Result<Self> {
        Ok(Self {
            agents: agents.try_clone()?,
            control: control.try_clone()?,
            keeper,
        })
    }

    /// Gives them to the daemon of this user that listens on `to`.
    pub(super) async fn give(&self, to: &Path) -> Result<(), String> {
        let told = |error: &dyn std::fmt::Display| format!("{}: {error}", to.display());
        let stream = tokio::net::UnixStream::connect(to).await;
        let stream = stream.map_err(|error| told(&error))?;
        refuse_stranger(&stream).map_err(|why| told(&why))?;
        let stream = stream.into_std().map_err(|error| told(&error))?;
        // A label and two sockets fit into any buffer: this waits for nobody.
        let label = Label {
            kept: self.keeper == Keeper::Another,
        };
        let label = serde_json::to_vec(&label).map_err(|error| told(&error))?;
        let sockets = [self.agents.as_fd(), self.control.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut along = SendAncillaryBuffer::new(&mut space);
        along.push(SendAncillaryMessage::ScmRights(&sockets));
        let sent = sendmsg(
            &stream,
            &[IoSlice::new(&label)],
            &mut along,
            SendFlags::empty(),
        );
        match sent {
            Ok(length) if length == label.len() => Ok(()),
            Ok(_) => Err(told(&"it takes nothing")),
            Err(error) => Err(told(&error)),
        }
    }
}

fn refuse_stranger(stream: &tokio::net::UnixStream) -> Result<(), String> {
    let peer = stream.peer_cred().map_err(|error| error.to_string())?;
    if peer.uid() == rustix::process::getuid().as_raw() {
        Ok(())
    } else {
        Err("another user listens there".to_owned())
    }
}

/// What a daemon that is to be replaced leaves.
struct Legacy {
    given: Given,
    /// How long it may take to end.
    patience: Duration,
}

/// Takes the place of the daemon that runs, or of none: its sockets come into `given`, and the lock
/// as soon as it has let go of it, and of the store before that.
pub(super) async fn succeed(paths: &mut Paths, given: &mut Given) -> Result<InstanceLock, Problem> {
    let Some(legacy) = ask(paths).await? else {
        return InstanceLock::acquire(paths).map_err(|error| error.problem());
    };
    *given = legacy.given;
    given.locate(paths);
    failpoint::here!("handover.taken");
    // A thread of its own, which nobody has to wait for when this gives up.
    let (done, turn) = oneshot::channel();
    let paths = paths.clone();
    std::thread::spawn(move || {
        // Whoever has given up lets the lock go again.
        let _ = done.send(InstanceLock::await_turn(&paths));
    });
    match tokio::time::timeout(legacy.patience, turn).await {
        Ok(Ok(lock)) => lock.map_err(|error| error.problem()),
        Ok(Err(error)) => Err(failed("the lock", error)),
        Err(_) => Err(failed(
            "the daemon before still finishes what is running",
            "it did not end in time",
        )),
    }
}

/// Asks the daemon that runs, if one does, to make way. One that is too old to hand its sockets
/// over is asked to stop.
async fn ask(paths: &Paths) -> Result<Option<Legacy>, Problem> {
    let client = Client::new(paths.find_socket());
    let beside = paths.socket.parent().unwrap_or(&paths.state_dir);
    ensure_private_dir(beside).map_err(|error| error.problem())?;
    let trouble = |error| failed("no socket for the sockets of the daemon that runs", error);
    let waiting = tempfile::Builder::new()
        .prefix("next")
        .make_in(beside, |path| UnixListener::bind(path))
        .map_err(trouble)?;
    let request = api::HandOver {
        socket: waiting.path().to_owned(),
    };
    let answer: Result<Stopping, Fault> = client.post(api::path::HAND_OVER, &request).await;
    match answer {
        Ok(stopping) => {
            let given = take(waiting.as_file()).map_err(|why| failed("the sockets", why))?;
            Ok(Some(Legacy::within(given, &stopping)))
        }
        Err(fault) => match fault.code() {
            Some(Code::NotRunning) => Ok(None),
            Some(Code::NotFound) => stop(&client).await,
            _ => Err(failed(
                "the daemon that runs does not make way",
                told(&fault),
            )),
        },
    }
}

async fn stop(client: &Client) -> Result<Option<Legacy>, Problem> {
    let request = api::Shutdown::default();
    match client.post(api::path::SHUTDOWN, &request).await {
        Ok(stopping) => Ok(Some(Legacy::within(Given::default(), &stopping))),
        Err(fault) if fault.code() == Some(Code::NotRunning) => Ok(None),
        Err(fault) => Err(failed("the daemon that runs does not stop", told(&fault))),
    }
}

fn told(fault: &Fault) -> String {
    match fault {
        Fault::Failure(failure) => failure.error.why.clone(),
        other => format!("{other:?}"),
    }
}

/// Takes the sockets that have been sent already.
fn take(waiting: &UnixListener) -> Result<Given, String> {
    let told = |error: std::io::Error| error.to_string();
    waiting.set_nonblocking(true).map_err(told)?;
    let (mut stream, _) = waiting.accept().map_err(told)?;
    stream.set_nonblocking(false).map_err(told)?;
    stream.set_read_timeout(Some(AT_HAND)).map_err(told)?;
    let (sockets, mut label) = received(&stream).map_err(|error| error.to_string())?;
    stream.read_to_end(&mut label).map_err(told)?;
    let label: Label = serde_json::from_slice(&label).map_err(|error| error.to_string())?;
    let [agents, control] = <[OwnedFd; 2]>::try_from(sockets)
        .map_err(|sockets| format!("{} sockets came", sockets.len()))?;
    let mut given = Given {
        keeper: if label.kept {
            Keeper::Another
        } else {
            Keeper::Nobody
        },
        ..Given::default()
    };
    given.take_agents(TcpListener::from(agents))?;
    given.take_control(UnixListener::from(control))?;
    Ok(given)
}

fn received(stream: &UnixStream) -> rustix::io::Result<(Vec<OwnedFd>, Vec<u8>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut along = RecvAncillaryBuffer::new(&mut space);
    let mut label = [0; 256];
    let message = recvmsg(
        stream,
        &mut [IoSliceMut::new(&mut label)],
        &mut along,
        RecvFlags::empty(),
    )?;
    let mut sockets = Vec::new();
    for part in along.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = part {
            sockets.extend(rights);
        }
    }
    // No program that this one starts is to have them. There is no other thread yet that could.
    for socket in &sockets {
        fcntl_setfd(socket, FdFlags::CLOEXEC)?;
    }
    Ok((sockets, label[..message.bytes].to_vec()))
}

impl Legacy {
    fn within(given: Given, stopping: &Stopping) -> Self {
        Self {
            given,
            patience: Duration::from_secs(stopping.drain_s) + BEYOND_DRAIN,
        }
    }
}
