//! The long form of every entry, as `doorward explain` prints it: what lies behind it, what it
//! does not mean, and what else to look at.

use super::Code;

pub(super) const fn explain(code: Code) -> &'static str {
    match code {
        Code::SessionMissing => {
            "Every agent program needs a local credential of its own. It starts with dw_ and goes \
             into the Authorization header of each request, as `Bearer dw_…`. Make one with \
             `doorward session mint` and put it into the agent's configuration. It is not a token \
             of the upstream: doorward adds that one itself, and the agent never sees it."
        }
        Code::SessionUnknown => {
            "The credential has the form of one of doorward's, or should have, but no session \
             belongs to it. If it was typed or copied, a character may be missing: the last six \
             are a checksum. Credentials belong to the installation that made them and do not \
             work on another machine or with another state directory. Records of ended sessions \
             are kept for seven days; after that an old credential is merely unknown."
        }
        Code::SessionExpired => {
            "A session lives on with every use, and ends when it was not used for its `ttl`, or \
             when it is older than `max_age` where that is set. Mint a new one for the agent. \
             Longer lives are set with `sessions.ttl` in the config or `--ttl` at minting."
        }
        Code::SessionRevoked => {
            "Somebody ended this session with `doorward ctl revoke`, or its process ended, or its \
             only upstream was removed. A revoked credential never works again. \
             `doorward ctl show ID` tells who ended it and why."
        }
        Code::SessionIdle => {
            "A session that nobody uses is reclaimed after `sessions.idle` (24 h unless changed). \
             The time does not run while a stream is open or while the process lives that the \
             session is bound to. Mint a new session, with `--idle` for a longer patience."
        }
        Code::SessionLimit => {
            "At most `sessions.max` sessions exist at a time, so that a program which mints in a \
             loop cannot fill the machine. Revoke those that nobody uses, or raise the limit. \
             `doorward ctl sessions` shows who holds them."
        }
        Code::NotGranted => {
            "A session may reach the upstreams it was minted for and no others; a grant is never \
             widened afterwards. To an agent, an upstream outside its grant looks exactly like \
             one that does not exist. Mint a session that names the upstream."
        }
        Code::Locked => {
            "While doorward is locked, every request of every agent is answered with this. \
             Nothing is revoked and nobody is signed out: after the unlocking all goes on as \
             before."
        }
        Code::ApprovalDenied => {
            "The config asks a person before a session is minted, and the person said no. The \
             agent has no credential and nothing was stored."
        }
        Code::LoginRequired => {
            "Doorward has no credential for this account and cannot get one without a person: \
             nobody has signed in yet, the authorization server rejected the refresh token, or \
             somebody signed out. The login command opens a browser. Agents that are running go \
             on with the credential they have; they need no restart after the sign-in. If it \
             comes back every few days, the provider ends sign-ins after a while; if it comes \
             back every hour, it gives no refresh token: see `doorward explain no_refresh_token`."
        }
        Code::ScopeNeeded => {
            "The upstream knows who you are but wants a scope that this sign-in does not have. \
             Sign in again with the scope added; the scopes you have are asked for again too. An \
             administrator may have to allow it at the provider."
        }
        Code::UpstreamRejected => {
            "The upstream answered 401 although its token had just been renewed. Renewing again \
             would not help, so doorward stopped. Usual causes: the token was issued for another \
             resource (compare `auth.resource` with the URL), the wrong authorization server is \
             pinned, the account was suspended, or the machine's clock is wrong."
        }
        Code::UpstreamForbidden => {
            "The upstream accepted the token and refused the action. This is about the rights of \
             the signed-in account there; neither a refresh nor a new session changes it."
        }
        Code::RefreshUnavailable => {
            "The access token ended and the authorization server could not be asked for a new \
             one: no connection, an error of its own, or it asked to wait. The refresh token is \
             kept and doorward tries again by itself, at growing intervals. A sign-in is not \
             needed."
        }
        Code::NoRefreshToken => {
            "Without a refresh token doorward can use this sign-in only until the access token \
             ends. Many providers give one only when the scope `offline_access` is asked for, or \
             when consent is given anew (`extra_authorize = { prompt = \"consent\" }`), or for \
             programs that an administrator has set up."
        }
        Code::LoginDenied => {
            "The provider said access_denied: the consent was declined, or a rule of the \
             organization does not allow this program. Nothing was stored, and an earlier \
             sign-in is still in place."
        }
        Code::LoginTimeout => {
            "A sign-in page is good for a limited time, five minutes unless `login.window` says \
             otherwise, and one use. Nothing was stored. Start again, with `--wait` for more time."
        }
        Code::LoginState => {
            "The address that the provider sent the browser to carries a one-time mark. It did \
             not match a sign-in that is under way: the page was loaded again, came from the \
             history, or was opened in another browser than the one that began. Start again from \
             the command line."
        }
        Code::IssuerMismatch => {
            "The answer names another authorization server than the one that was asked \
             (RFC 9207). That can be an attack in which one server's code is given to another, so \
             nothing was exchanged and nothing stored. It can also be a wrong `auth.issuer` in the \
             config."
        }
        Code::DiscoveryFailed => {
            "Doorward asks the upstream for its protected-resource metadata (RFC 9728), then the \
             authorization server named there for its own metadata (RFC 8414 or OpenID Connect). \
             One of them did not answer usefully. Where the provider documents its addresses, pin \
             them: `auth.issuer`, or `auth.authorization_endpoint` together with \
             `auth.token_endpoint`. An upstream that needs no sign-in is written with \
             `auth = { kind = \"none\" }`."
        }
        Code::RegistrationFailed => {
            "The authorization server does not register programs dynamically (RFC 7591), or \
             refused this registration. Create an OAuth client in its console with the redirect \
             URI that `doorward upstream show` prints, and write its `client_id`, and where there \
             is one its `client_secret`, into the config."
        }
        Code::ExecFailed => {
            "The command that prints the credential of this upstream ended with an error. Run it \
             in a terminal: what it prints there is what doorward sees. It runs without a \
             terminal and with a small environment."
        }
        Code::ExecMissing => {
            "The program was not found in the PATH of the daemon, which can differ from that of \
             your shell. Write an absolute path in the config, or install it."
        }
        Code::ExecTimeout => {
            "The command ran longer than its `timeout`. Usually it waits for input that nobody \
             can give it."
        }
        Code::SecretUnavailable => {
            "The config says where this secret is kept, and it cannot be read there: the variable \
             is not set in the environment of the daemon, the file is missing, or others may read \
             the file (doorward then refuses it; `chmod 600` mends that). The daemon has the \
             environment it was started with, not that of your shell."
        }
        Code::TokenMissing => {
            "This upstream is of the kind `passthrough`: the agent brings its own token, and \
             doorward only checks that it has not expired. The request came without one. The \
             agent's session credential belongs into the field `Doorward-Session`."
        }
        Code::TokenExpired => {
            "For this upstream the agent sends its own token, and doorward only looks at the time \
             written in it. That time has passed. Doorward cannot renew a token that belongs to \
             the agent."
        }
        Code::UpstreamUnreachable => {
            "No connection to the upstream: the name was not found, nobody listens there, or the \
             network is away. The request was not carried out, so it is safe to repeat. \
             `doorward upstream test NAME` goes through the steps one by one."
        }
        Code::UpstreamTls => {
            "The certificate of the upstream is not valid for its name, has expired, or comes \
             from an authority this machine does not trust. Behind a company proxy, add the \
             proxy's authority to the trust store of the system. Doorward never goes on without a \
             valid certificate."
        }
        Code::UpstreamTimeout => {
            "The upstream accepted the request and sent no byte in time. The call may have been \
             carried out, so repeating a tool call is for you to decide. Slow tools need a larger \
             `first_byte_timeout` for this upstream."
        }
        Code::ConnectionLost => {
            "The connection broke after the request was sent and before its answer was complete. \
             Nobody can know from here whether the call took effect, so doorward does not repeat \
             it. Look at the other end first."
        }
        Code::Busy => {
            "`max_concurrency` calls to this upstream were running already, and none of them ended \
             within ten seconds. That protects the upstream from an agent that runs wild. Wait, or \
             raise the limit."
        }
        Code::UpstreamUnknown => {
            "The name behind /u/ is not in the config. `doorward upstream list` shows the names \
             there are. Sessions see only the upstreams of their grant, so to an agent an upstream \
             outside its grant is unknown as well."
        }
        Code::UpstreamDisabled => {
            "The upstream is in the config with `enabled = false`. Its sign-in is kept. Enable it \
             and running agents can use it at once."
        }
        Code::ToolDenied => {
            "The config lists tools of this upstream that may be used, or may not. The tool is \
             hidden from lists for the same reason."
        }
        Code::BodyTooLarge => {
            "The body of the request is larger than `server.max_body`. Nothing was sent to the \
             upstream."
        }
        Code::OriginNotAllowed => {
            "The request came from a web page (it carries an Origin that is not doorward's own). \
             Pages may not use doorward, so that a site you visit cannot reach your upstreams \
             through your browser. A tool that runs in a browser on purpose can be named in \
             `server.allowed_origins`."
        }
        Code::HostNotAllowed => {
            "The Host header does not name this machine's loopback address. Doorward refuses such \
             requests so that a web site whose name points to 127.0.0.1 cannot reach it. If you \
             use another name for this machine on purpose, allow it in the config."
        }
        Code::OauthNotOffered => {
            "The program looked for OAuth metadata at doorward's address. Programs do that when \
             they have no credential for it. Doorward signs in to upstreams, not to itself: give \
             the program a session credential instead of letting it sign in. Where a program has a \
             switch for OAuth, turn it off for this server."
        }
        Code::KeyringLocked => {
            "The keyring exists but is locked, and doorward's key is in it. Doorward never falls \
             back to a weaker place for it. Unlock the keyring (logging in to the desktop does \
             that) and everything goes on; no new sign-in is needed."
        }
        Code::KeyringUnavailable => {
            "The config asks for the keyring of the system and there is none: usual in containers, \
             over ssh and in CI. With `kind = \"file\"` the key is kept in a file that only you can \
             read, in a directory that only you can enter. With `kind = \"auto\"` that happens by \
             itself where no keyring exists."
        }
        Code::ConfigInvalid => {
            "The config has a mistake, and doorward does not guess what was meant. \
             `doorward config check` shows every mistake with its line. A daemon that is running \
             keeps its old configuration until the new one is right. Mistakes in variables of the \
             environment are reported the same way."
        }
        Code::NotRunning => {
            "No daemon answers on the control socket. Start it with `doorward up`, or in the \
             foreground with `doorward serve`. If it should be running, compare the state \
             directory: `--state-dir`, `DOORWARD_STATE_DIR` and `--socket` choose which daemon a \
             command talks to."
        }
        Code::PortInUse => {
            "Another program listens on doorward's port. Agents are configured with that port, so \
             doorward does not choose another one by itself. Stop the other program, or set \
             `server.port` and update the agents."
        }
        Code::RemoteBindRefused => {
            "Doorward holds your sign-ins and serves them without TLS, so it listens on loopback \
             addresses only. Use an ssh tunnel to reach it from another machine."
        }
        Code::VersionSkew => {
            "The daemon that is running was started from an older or newer binary than this \
             command. Most things work; new ones may not. Restarting the daemon loses no session."
        }
        Code::ClientConfigChanged => {
            "Between the preview and your consent another program wrote to the file. Nothing was \
             changed. Look at the new preview and decide again."
        }
        Code::ClientConfigUnreadable => {
            "The agent program's own configuration file does not parse, so doorward does not touch \
             it."
        }
        Code::AlreadyInside => {
            "This shell was started by `doorward run` and has a session already. A second one \
             inside it would show up as another agent."
        }
        Code::ClockSkew => {
            "The lives of tokens are counted with this machine's clock. A clock that is minutes \
             off makes doorward renew too early or too late, and providers reject signed messages."
        }
        Code::StoreKeyMissing => {
            "Sign-ins are kept sealed with a key that is stored apart from them, in the keyring or \
             in a key file. The sealed records are there and the key is not, so they cannot be \
             opened; making a new key would throw them away silently, so doorward does not. Put \
             the key back from a backup, or move the store file in the state directory away and \
             sign in again. Agents then need new sessions."
        }
        Code::StoreFailed => {
            "The store is a file in the state directory. The disk may be full, the file may be \
             damaged, or its permissions may have changed. Access tokens that are held in memory \
             keep working until they end."
        }
        Code::Internal => {
            "Something happened that should not be possible. The log has the details under the \
             request id. Please report it with the version that `doorward version` prints."
        }
        Code::Stopping => {
            "The daemon has been told to stop and lets running calls finish. Sessions survive a \
             restart, so the agent can go on with the same credential as soon as it is back."
        }
        Code::BadRequest => {
            "A request to the control socket, or to doorward's own pages, has a form that this \
             version does not know. Usually the command and the daemon are of different versions: \
             `doorward version` shows both."
        }
        Code::NotFound => {
            "Agents use /u/NAME, where NAME is an upstream of the config. \
             `doorward upstream list` prints the full local address of each."
        }
        Code::PeerRefused => {
            "The control socket answers only the user who started the daemon. That is checked by \
             the operating system's own record of who is calling, not by a password."
        }
        Code::SessionNotFound => {
            "Session ids look like s_7q2kd4, and the beginning of one is enough where it is \
             unambiguous. Sessions that ended are listed with `--all` for seven days."
        }
        Code::AmbiguousId => {
            "The beginning of an id stands for the whole where only one session has it. Here \
             several do: write more of it."
        }
        Code::AccountUnknown => {
            "An account is written behind the upstream's name, as in notion@work. Accounts are \
             listed under `[upstreams.NAME.accounts]` in the config; without any there is one, \
             called default."
        }
        Code::UpstreamExists => {
            "Upstream names are unique, and adding never replaces one, because sign-ins and grants \
             belong to the name."
        }
        Code::SecretElsewhere => {
            "`doorward upstream set-secret` fills places that the config writes as \
             `{ keyring = \"item\" }`. Secrets in variables, in files and behind commands are \
             changed where they are; doorward reads them again after a 401, or when told to."
        }
        Code::NoSignIn => {
            "Only upstreams whose `auth.kind` is `oauth` are signed in to. This one works without."
        }
        Code::LoginFailed => {
            "You came back from the provider, and the last step failed: the authorization server \
             did not exchange the code for tokens, or doorward could not keep them. Nothing was \
             stored. Trying again is safe. If it repeats, compare `client_id`, `client_secret` and \
             the redirect URI with what is registered there."
        }
        Code::AlreadyRunning => {
            "One daemon runs per state directory, so that no refresh token is used by two. Stop \
             the other with `doorward down`, or give this one a state directory of its own."
        }
        Code::StartFailed => {
            "The daemon was started in the background and ended before it was ready. Its log tells \
             why; `doorward serve` starts it in the foreground, where you see it at once."
        }
        Code::ConfirmationNeeded => {
            "The command ends or removes something and wants a yes. There is no terminal to ask on, \
             or asking was forbidden with --no-input. Pass --yes to agree beforehand."
        }
        Code::TimedOut => {
            "The time given with --timeout has passed. The daemon may still be doing what it was \
             asked to do; `doorward status` tells."
        }
        Code::ProcessUnusable => {
            "A session that is bound to a process ends with it, so the process has to live, and it \
             has to be yours. A number alone would not do: doorward also notes when the process \
             started, and a program that gets the same number later is another process. Threads \
             and processes that have ended and wait for their parents cannot be bound to."
        }
        Code::ServiceFailed => {
            "`doorward service` speaks to the service manager of your user: systemd on Linux, \
             launchd on macOS. Over ssh, in containers and under sudo there is often none. On \
             Linux, `loginctl enable-linger` gives a user one that does not depend on a login. \
             Without any, `doorward up` starts the daemon in the background."
        }
        Code::NoLog => {
            "A daemon that `doorward up` or another command started in the background writes its \
             log into the state directory, and `doorward logs` shows that file. A daemon in the \
             foreground, or one that a service manager runs, writes to its standard error: look \
             where you started it, or into the journal."
        }
        Code::CommandNotFound => {
            "`doorward run` becomes the command that stands behind the two dashes. It looks for it \
             on PATH as a shell does, and knows no aliases and no functions of your shell. A \
             script whose first line names an interpreter that does not exist looks the same. \
             The session that was minted for the command is revoked at once."
        }
        Code::CommandNotExecutable => {
            "The command behind `doorward run --` is there and the system refuses to run it: it is \
             a directory, it lacks the permission to be executed, or it was built for another \
             machine. The session that was minted for the command is revoked at once."
        }
        Code::McpSession => {
            "An upstream's Mcp-Session-Id belongs to the agent session that opened it, and to the \
             person who was signed in then: all agents of one account look the same to the \
             upstream, so doorward keeps them apart. Nothing was sent to the upstream. MCP clients \
             take 404 as the sign to start a new MCP session."
        }
        Code::NotInProject => {
            "A project may hold a file `.doorward.toml` whose `upstreams` are all that an agent in \
             its directories may reach. It can only take away from what the person has; so an agent \
             that is configured with another upstream is refused it there. `doorward run \
             --upstream NAME` is a person's own word and goes before the file."
        }
        Code::ClientUnknown => {
            "`doorward connect` knows the files of the agent programs that `doorward connect --list` \
             shows. Any other program can be given an address of doorward and a credential of \
             `doorward session mint`, or `doorward bridge NAME` as the command of a server."
        }
        Code::ClientFileRefused => {
            "doorward changes another program's file only where it can prove that nothing but its \
             own entries differs afterwards: it reads the new text and compares. Here something is \
             written in a way that this cannot be done for (dotted keys, anchors, a list where a \
             map belongs). Nothing was written."
        }
        Code::ClientFileFailed => {
            "The operating system refused to read or to replace the file of an agent program. A \
             file is replaced as a whole, so its directory has to be writable too. What was there \
             before is still there."
        }
        Code::NoUpstream => {
            "An agent is connected to upstreams, and none is configured, or all of them are \
             switched off. `doorward login URL` adds one and signs you in; `doorward upstream \
             list` shows those that exist."
        }
        Code::NotImportable => {
            "`doorward upstream import` takes over addresses, and never secrets: a server that is \
             reached with a key in a header field or in its address, one whose address depends on a \
             variable, and one that speaks the older transport of two connections stay where they \
             are. Add such a server by hand, where doorward can speak to it."
        }
        Code::DeviceNotOffered => {
            "`login --device`, and `prefer_device_flow` in the config, ask the authorization server \
             for a code that a person enters in a browser anywhere (RFC 8628). This server does not \
             say that it gives such codes. With `--paste`, the sign-in can still be finished in the \
             browser of another machine."
        }
        Code::ConfigChanged => {
            "A command that changes the config file reads it, and puts the changed text in its \
             place only where the file is still as it was read. An editor, or another program, \
             wrote to it in between, twice. Nothing was changed by doorward."
        }
        Code::ConfigUnwritable => {
            "The operating system refused to read or to replace the config file. A file is \
             replaced as a whole, so its directory has to be writable too. What was there before \
             is still there. `doorward config path` tells which file it is."
        }
    }
}
