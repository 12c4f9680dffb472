//! The sockets that the daemon serves on: its own, or those that a service manager holds for it
//! (`LISTEN_FDS`, `sd_listen_fds(3)`), so that nobody is turned away while it restarts.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;

use listenfd::ListenFd;
#[cfg(not(target_vendor = "apple"))]
use rustix::net::sockopt::socket_acceptconn;
use tracing::warn;

use super::failed;
use crate::config::Config;
use crate::model::catalogue::{Code, Problem};
use crate::paths::{Paths, refuse_exposed_socket};

/// What `LISTEN_FDNAMES` may call the agent port.
const AGENTS: &str = "agents";
/// What it may call the control socket. Any other name says nothing: the kind of the socket does.
const CONTROL: &str = "control";

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 2048;

/// Who has the sockets when this daemon ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Keeper {
    /// Nobody: they end with it.
    #[default]
    Nobody,
    /// A service manager, or the daemon that comes next.
    Another,
}

/// Sockets that the daemon was given.
#[derive(Debug, Default)]
pub(super) struct Given {
    pub(super) agents: Option<TcpListener>,
    pub(super) control: Option<UnixListener>,
    pub(super) keeper: Keeper,
}

impl Given {
    /// Takes what a service manager holds. Nothing that the environment tells of is left for
    /// anybody else; so this comes before any thread.
    pub(super) fn by_service_manager() -> Result<Self, Problem> {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let mut held = ListenFd::from_env();
        let mut given = Self::default();
        for index in 0..held.len() {
            let name = names.next().unwrap_or_default();
            given.keeper = Keeper::Another;
            given.take(&mut held, index, name).map_err(|why| {
                let what = format!("socket {} ({name}) of the service manager", index + 1);
                failed(&what, why)
            })?;
        }
        Ok(given)
    }

    fn take(&mut self, held: &mut ListenFd, index: usize, name: &str) -> Result<(), String> {
        let tcp = match name {
            CONTROL => None,
            _ => held.take_tcp_listener(index).ok().flatten(),
        };
        let unix = match name {
            AGENTS => None,
            _ if tcp.is_some() => None,
            _ => held.take_unix_listener(index).ok().flatten(),
        };
        match (tcp, unix) {
            (Some(listener), _) => self.take_agents(listener),
            (None, Some(listener)) => self.take_control(listener),
            (None, None) => Err(match name {
                AGENTS => "it is no TCP socket",
                CONTROL => "it is no Unix stream socket",
                _ => "it is neither a TCP nor a Unix stream socket",
            }
            .to_owned()),
        }
    }

    /// Takes the agent port: one that listens, on an address of this machine alone.
    pub(super) fn take_agents(&mut self, listener: TcpListener) -> Result<(), String> {
        refuse_deaf(&listener)?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        if !address.ip().is_loopback() {
            return Err(format!(
                "anyone on the network could use your sign-ins at {address}; \
                 have it listen on 127.0.0.1"
            ));
        }
        if self.agents.replace(listener).is_some() {
            return Err("there is another one for agents".to_owned());
        }
        Ok(())
    }

    /// Takes the control socket: one that listens, and that this user alone can open.
    pub(super) fn take_control(&mut self, listener: UnixListener) -> Result<(), String> {
        refuse_deaf(&listener)?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let path = address.as_pathname().ok_or("it has no path")?;
        refuse_exposed_socket(path).map_err(|error| error.to_string())?;
        if self.control.replace(listener).is_some() {
            return Err("there is another one for control".to_owned());
        }
        Ok(())
    }

    /// Puts the path of the control socket where it is looked for.
    pub(super) fn locate(&self, paths: &mut Paths) {
        let address = self.control.as_ref().and_then(|it| it.local_addr().ok());
        if let Some(path) = address.as_ref().and_then(|it| it.as_pathname()) {
            path.clone_into(&mut paths.socket);
        }
    }

    /// The agent port: the one that was given, or a new one where the configuration wants it.
    pub(super) fn agents(&mut self, config: &Config) -> Result<TcpListener, Problem> {
        let (bind, port) = (config.server.bind, config.server.port);
        let listener = match self.agents.take() {
            None => bound(SocketAddr::new(bind, port))?,
            Some(listener) => {
                let held = listener.local_addr();
                let held = held.map_err(|error| failed("no address", error))?;
                if (held.ip(), held.port()) != (bind, port) && port != 0 {
                    warn!(%held, %bind, port, "the socket that was given is at another address than the configuration has");
                }
                listener
            }
        };
        // The standard library asks for a queue of 128; a second `listen` widens it.
        rustix::net::listen(&listener, BACKLOG).map_err(|error| failed("cannot listen", error))?;
        Ok(listener)
    }
}

fn bound(address: SocketAddr) -> Result<TcpListener, Problem> {
    TcpListener::bind(address).map_err(|error| {
        if error.kind() == std::io::ErrorKind::AddrInUse {
            let (bind, port) = (address.ip(), address.port());
            Problem::new(Code::PortInUse)
                .with("bind", bind)
                .with("port", port)
                .with("next", u32::from(port) + 1)
                .because("another program is listening there")
        } else {
            failed(&format!("cannot listen on {address}"), error)
        }
    })
}

/// Apple's systems name the question and do not answer it: there the first `accept` tells.
#[cfg(target_vendor = "apple")]
fn refuse_deaf(_: impl AsFd) -> Result<(), String> {
    Ok(())
}

#[cfg(not(target_vendor = "apple"))]
fn refuse_deaf(socket: impl AsFd) -> Result<(), String> {
    match socket_acceptconn(socket) {
        Ok(true) => Ok(()),
        Ok(false) => Err("it does not listen".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
