//! The rows. The first 49 are those that the documentation counts; numbers and codes never
//! change their meaning, new rows go to the end.

use super::Retry::{After, AfterUser, No, Safe};
use super::explain::explain;
use super::{Entry, Retry};

macro_rules! catalogue {
    ($(
        $variant:ident $code:literal $http:literal $($oauth:literal)? / $($rpc:literal)?,
        $retry:ident, exit $exit:literal:
        $what:literal, $why:literal, $fix:literal;
    )*) => {
        /// The name of one kind of trouble.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $what] $variant,)*
        }

        impl Code {
            /// All of them, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The row.
            pub fn entry(self) -> &'static Entry {
                &ENTRIES[self as usize]
            }

            /// The stable name.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }
        }

        const ENTRIES: &[Entry] = &[$(Entry {
            code: $code,
            number: Code::$variant as u16 + 1,
            http: $http,
            oauth_error: optional!($($oauth)?),
            rpc: optional!($($rpc)?),
            retry: { const RETRY: Retry = $retry; RETRY },
            exit: $exit,
            what: $what,
            why: $why,
            fix: $fix,
            explain: explain(Code::$variant),
        },)*];
    };
}

macro_rules! optional {
    () => {
        None
    };
    ($value:literal) => {
        Some($value)
    };
}

catalogue! {
    SessionMissing "session_missing" 401 "invalid_request" / -31001, AfterUser, exit 1:
        "this agent has no doorward credential",
        "the request carried no Authorization header",
        "doorward session mint";
    SessionUnknown "session_unknown" 401 "invalid_token" / -31002, AfterUser, exit 1:
        "this doorward credential is not known",
        "it was made by another installation, or its session ended long ago",
        "doorward session mint";
    SessionExpired "session_expired" 401 "invalid_token" / -31003, AfterUser, exit 1:
        "session {id} expired {ago}",
        "it was not used for {ttl}",
        "doorward session mint";
    SessionRevoked "session_revoked" 401 "invalid_token" / -31004, AfterUser, exit 1:
        "session {id} was revoked {ago}",
        "by {who}: {reason}",
        "doorward session mint";
    SessionIdle "session_idle" 401 "invalid_token" / -31005, AfterUser, exit 1:
        "session {id} was reclaimed {ago}",
        "it was quiet for {idle}",
        "doorward session mint";
    SessionLimit "session_limit" 429 / , AfterUser, exit 6:
        "no more sessions can be made",
        "{max} exist",
        "doorward ctl revoke --idle 1h";
    NotGranted "not_granted" 404 / -31006, No, exit 5:
        "session {id} may not use {upstream}",
        "its grant is: {grant}",
        "doorward session mint --upstream {grant},{upstream}";
    Locked "locked" 200 / -31007, AfterUser, exit 6:
        "doorward is locked",
        "locked by {who} {ago}{until}",
        "doorward ctl unlock";
    ApprovalDenied "approval_denied" 403 / , AfterUser, exit 6:
        "{client} was not given a session",
        "you declined it",
        "doorward run -- {client}";
    LoginRequired "login_required" 200 / -31010, AfterUser, exit 4:
        "{upstream} needs you to sign in",
        "nobody has signed in yet",
        "doorward login {upstream}";
    ScopeNeeded "scope_needed" 200 / -31011, AfterUser, exit 4:
        "{upstream} wants more permission for this call",
        "it asked for: {scopes}",
        "doorward login {upstream} --force --add-scopes {scopes}";
    UpstreamRejected "upstream_rejected" 200 / -31012, No, exit 8:
        "{upstream} refused a fresh token",
        "it answered 401 to a token that had just been renewed: {detail}",
        "doorward upstream test {upstream}";
    UpstreamForbidden "upstream_forbidden" 200 / -31013, No, exit 8:
        "{upstream} does not allow this for {identity}",
        "it answered 403: {detail}",
        "sign in as someone who may: doorward login {upstream}@other";
    RefreshUnavailable "refresh_unavailable" 200 / -31014, After, exit 8:
        "the token of {upstream} cannot be renewed right now",
        "its authorization server cannot be reached",
        "doorward status {upstream}";
    NoRefreshToken "no_refresh_token" 200 / , No, exit 0:
        "{upstream} gave no refresh token",
        "the provider issues none for these scopes",
        "doorward login {upstream} --force --add-scopes offline_access";
    LoginDenied "login_denied" 403 / , No, exit 6:
        "{upstream} did not sign you in",
        "you or an administrator declined (access_denied)",
        "doorward login {upstream}";
    LoginTimeout "login_timeout" 410 / , No, exit 9:
        "the sign-in was not finished",
        "{window} passed",
        "doorward login {upstream} --wait 15m";
    LoginState "login_state" 400 / , No, exit 1:
        "this sign-in page is old or came from another browser",
        "its one-time ticket is used, expired or not yours",
        "doorward login {upstream}";
    IssuerMismatch "issuer_mismatch" 502 / , No, exit 8:
        "the sign-in answer came from the wrong server",
        "expected {expected}, got {got}; nothing was stored",
        "doorward upstream show {upstream}";
    DiscoveryFailed "discovery_failed" 502 / , No, exit 8:
        "cannot find how to sign in to {upstream}",
        "{tried}",
        "set `issuer`, or `authorization_endpoint` and `token_endpoint`, in the config, \
         then: doorward config check";
    RegistrationFailed "registration_failed" 502 / , No, exit 8:
        "{issuer} does not register programs by itself",
        "it answered {status} {detail}",
        "create a client there, set `client_id` in the config, then: doorward login {upstream}";
    ExecFailed "exec_failed" 200 / -31020, After, exit 8:
        "the credential command of {upstream} failed",
        "`{command}` exited {n}: {detail}",
        "run it yourself: {command}";
    ExecMissing "exec_missing" 200 / -31021, AfterUser, exit 8:
        "the credential command of {upstream} is not installed",
        "`{command}` was not found on PATH",
        "{install_hint}";
    ExecTimeout "exec_timeout" 200 / -31022, After, exit 8:
        "the credential command of {upstream} did not finish",
        "{timeout} passed (it may be waiting for input)",
        "doorward login {upstream}";
    SecretUnavailable "secret_unavailable" 200 / -31023, AfterUser, exit 7:
        "the secret of {upstream} cannot be read",
        "{detail}",
        "mend it where the config points to, then: doorward config check";
    TokenExpired "token_expired" 401 "invalid_token" / -31024, AfterUser, exit 1:
        "the token this agent sent to {upstream} has expired",
        "its `exp` passed {ago}",
        "sign in again in the agent";
    UpstreamUnreachable "upstream_unreachable" 502 / -31030, Safe, exit 8:
        "{upstream} cannot be reached",
        "{detail}",
        "doorward upstream test {upstream}";
    UpstreamTls "upstream_tls" 502 / -31031, No, exit 8:
        "{upstream} did not prove who it is",
        "{detail}",
        "doorward upstream test {upstream} -v";
    UpstreamTimeout "upstream_timeout" 504 / -31032, No, exit 8:
        "{upstream} did not answer",
        "no byte came for {timeout}",
        "raise `first_byte_timeout` in the config, or try again";
    ConnectionLost "connection_lost" 502 / -31033, No, exit 8:
        "the connection to {upstream} broke during this call",
        "{upstream} closed it; the call may or may not have run",
        "check before repeating it";
    Busy "busy" 503 / -31034, After, exit 8:
        "too many calls to {upstream} at once",
        "{n} are running, the limit is {max}",
        "wait";
    UpstreamUnknown "upstream_unknown" 404 / -31040, No, exit 5:
        "there is no upstream called {name}",
        "configured: {names}",
        "doorward upstream add {name} URL";
    UpstreamDisabled "upstream_disabled" 404 / -31041, AfterUser, exit 6:
        "{upstream} is switched off",
        "`enabled = false` in the config",
        "doorward upstream enable {upstream}";
    ToolDenied "tool_denied" 200 / -31042, No, exit 6:
        "the tool {tool} is not allowed through doorward",
        "the `tools` rules of {upstream} exclude it",
        "change them in the config, then: doorward ctl reload";
    BodyTooLarge "body_too_large" 413 / -31043, No, exit 1:
        "the request is too big",
        "{size}, the limit is {max_body}",
        "raise `server.max_body` in the config, then: doorward ctl reload";
    OriginNotAllowed "origin_not_allowed" 403 / , No, exit 6:
        "a web page may not use doorward",
        "Origin {origin} is not allowed",
        "";
    HostNotAllowed "host_not_allowed" 421 / , No, exit 6:
        "this address is not one of doorward's",
        "Host {host}; allowed: {list}",
        "add it to `server.allowed_hosts` in the config";
    OauthNotOffered "oauth_not_offered" 404 "not_found" / , No, exit 5:
        "doorward is not an OAuth server for agents",
        "{client} asked for {path}",
        "doorward session mint";
    KeyringLocked "keyring_locked" 200 / -31050, AfterUser, exit 1:
        "the keyring is locked",
        "it holds the key that seals your sign-ins",
        "unlock it, then: doorward up";
    KeyringUnavailable "keyring_unavailable" 503 / , AfterUser, exit 1:
        "no keyring can be used on this machine",
        "{reason}",
        "set `[store] kind = \"file\"` in the config, then: doorward up";
    ConfigInvalid "config_invalid" 422 / , No, exit 7:
        "{place}: {problem}",
        "{detail}",
        "doorward config check";
    NotRunning "not_running" 503 / , AfterUser, exit 3:
        "doorward is not running",
        "no daemon answered on {socket}",
        "doorward up";
    PortInUse "port_in_use" 503 / , AfterUser, exit 1:
        "{bind}:{port} is already in use",
        "pid {pid} ({exe}) is listening",
        "doorward serve --port {next}";
    RemoteBindRefused "remote_bind_refused" 503 / , No, exit 7:
        "doorward will not listen on {bind}",
        "anyone on the network could use your sign-ins",
        "set `server.bind` to 127.0.0.1 in the config, then: doorward up";
    VersionSkew "version_skew" 200 / , No, exit 0:
        "the daemon is {old}, this command is {new}",
        "it was not restarted after the update",
        "doorward up";
    ClientConfigChanged "client_config_changed" 409 / , AfterUser, exit 1:
        "{file} changed while you were looking at the preview",
        "{client} wrote to it",
        "doorward connect {client}";
    ClientConfigUnreadable "client_config_unreadable" 422 / , No, exit 7:
        "{file}:{line}:{col} is not valid {format}",
        "{detail}",
        "fix it, then: doorward connect {client}";
    AlreadyInside "already_inside" 409 / , No, exit 6:
        "already inside session {id} of doorward",
        "`DOORWARD_SESSION` is set",
        "exit that agent, or pass --nested";
    ClockSkew "clock_skew" 200 / , No, exit 0:
        "this machine's clock is {n} s off",
        "compared with {host}",
        "set the clock";
    StoreKeyMissing "store_key_missing" 503 / -31051, AfterUser, exit 1:
        "the key of the store is missing",
        "sealed sign-ins exist, and {place} no longer holds the key for them",
        "restore the key, or sign in anew after: doorward explain store_key_missing";
    StoreFailed "store_failed" 503 / -31052, After, exit 1:
        "doorward cannot read or write its store",
        "{detail}",
        "doorward status";
    Internal "internal" 500 / -31060, No, exit 1:
        "doorward made a mistake",
        "{detail}",
        "doorward status -v";
    Stopping "stopping" 503 / -31061, Safe, exit 3:
        "doorward is stopping",
        "it was told to, and finishes what is running",
        "doorward up";
    BadRequest "bad_request" 400 / , No, exit 2:
        "the request cannot be understood",
        "{detail}",
        "doorward help";
    NotFound "not_found" 404 / , No, exit 5:
        "there is nothing here",
        "{path} is not an address of doorward",
        "doorward upstream list";
    PeerRefused "peer_refused" 403 / , No, exit 6:
        "the control socket is not yours",
        "it belongs to another user",
        "run the command as the user who started doorward";
    SessionNotFound "session_not_found" 404 / , No, exit 5:
        "there is no session {id}",
        "no session has this id, or it ended long ago",
        "doorward ctl sessions --all";
    AmbiguousId "ambiguous_id" 409 / , No, exit 2:
        "{id} could be several sessions",
        "it begins the ids of: {ids}",
        "doorward ctl sessions";
    AccountUnknown "account_unknown" 404 / , No, exit 5:
        "{upstream} has no account called {account}",
        "configured: {names}",
        "doorward upstream show {upstream}";
    UpstreamExists "upstream_exists" 409 / , No, exit 6:
        "there is already an upstream called {name}",
        "it points to {url}",
        "choose another name, or first: doorward upstream remove {name}";
    TokenMissing "token_missing" 401 "invalid_token" / -31025, AfterUser, exit 1:
        "this agent sent no token for {upstream}",
        "doorward passes the agent's own token on, in `Authorization`, and its own credential \
         goes into `Doorward-Session`",
        "sign in to the upstream in the agent";
    SecretElsewhere "secret_elsewhere" 409 / , No, exit 1:
        "{upstream} does not keep its secret in doorward",
        "{detail}",
        "change it there, then: doorward ctl refresh {upstream}";
    NoSignIn "no_sign_in" 409 / , No, exit 1:
        "{upstream} does not use sign-in",
        "its kind of authentication is `{kind}`",
        "doorward upstream show {upstream}";
    LoginFailed "login_failed" 502 / , AfterUser, exit 8:
        "{upstream} did not finish the sign-in",
        "{detail}",
        "doorward login {upstream}";
    AlreadyRunning "already_running" 409 / , No, exit 1:
        "doorward is already running",
        "pid {pid} holds {lock}",
        "doorward status";
    StartFailed "start_failed" 503 / , AfterUser, exit 1:
        "doorward did not start",
        "{detail}",
        "see the log: {log}";
    ConfirmationNeeded "confirmation_needed" 409 / , AfterUser, exit 6:
        "this needs your consent",
        "{detail}",
        "{command}";
    TimedOut "timed_out" 504 / , Safe, exit 9:
        "doorward did not answer in time",
        "{timeout} passed",
        "doorward status";
    ProcessUnusable "process_unusable" 409 / , No, exit 5:
        "no session can be bound to process {pid}",
        "there is no such process",
        "name a process of yours, or mint one that belongs to none: doorward session mint";
    ServiceFailed "service_failed" 503 / , AfterUser, exit 1:
        "the service manager did not do it",
        "{detail}",
        "doorward up";
    NoLog "no_log" 404 / , No, exit 5:
        "there is no log to show",
        "{file} does not exist: no daemon has run in the background yet",
        "doorward up";
    CommandNotFound "command_not_found" 404 / , No, exit 127:
        "there is no command {command}",
        "it is not on PATH; its session is over already",
        "check how it is spelled, or give its path: doorward run -- /path/to/agent";
    CommandNotExecutable "command_not_executable" 403 / , No, exit 126:
        "{command} cannot be run",
        "{detail}; its session is over already",
        "check that it is a program that you may run: doorward run -- /path/to/agent";
    McpSession "mcp_session" 404 / -31044, No, exit 1:
        "{upstream} has no MCP session with this id for you",
        "it was opened by another agent session, or before somebody else was signed in",
        "send `initialize` without Mcp-Session-Id";
    NotInProject "not_in_project" 403 / , No, exit 6:
        "{upstream} is left out in this project",
        "{file} does not name it",
        "add it to `upstreams` there, or work outside of that directory";
    ClientUnknown "client_unknown" 404 / , No, exit 5:
        "there is no client called {name}",
        "known: {names}",
        "doorward connect --list";
    ClientFileRefused "client_file_refused" 409 / , No, exit 7:
        "{file} cannot be changed safely",
        "{detail}",
        "put the entries in by hand: doorward connect {client} --print";
    ClientFileFailed "client_file_failed" 403 / , AfterUser, exit 1:
        "{file} cannot be read or written",
        "{detail}",
        "make it accessible, then: doorward connect {client}";
    NoUpstream "no_upstream" 404 / , AfterUser, exit 5:
        "there is no upstream to connect",
        "the config names none that is switched on",
        "doorward login https://mcp.example.com/mcp";
    NotImportable "not_importable" 409 / , No, exit 6:
        "{name} cannot be taken over",
        "{reason}",
        "doorward upstream add {name} URL";
    DeviceNotOffered "device_not_offered" 409 / , No, exit 8:
        "{issuer} offers no sign-in on another device",
        "its metadata names no `device_authorization_endpoint`",
        "doorward login {upstream} --paste";
    ConfigChanged "config_changed" 409 / , Safe, exit 1:
        "{file} changed meanwhile",
        "somebody else wrote to it, so nothing was written",
        "the same command again";
    ConfigUnwritable "config_unwritable" 503 / , AfterUser, exit 1:
        "{file} cannot be read or written",
        "{detail}",
        "make it accessible, then: the same command again";
}
