//! Real reverse proxies in front of a gateway, with the configurations in `examples/deploy/reverse-proxy` or minimal
//! ones. The programs are Debian's, unpacked by `tests/run`.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::fixture::{installed, root};
use crate::port::free_port;
use crate::process::Process;
use crate::wait::eventually;

/// A reverse proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Software {
    /// nginx.
    Nginx,
    /// HAProxy.
    Haproxy,
    /// Apache httpd.
    Apache,
    /// Caddy.
    Caddy,
    /// Varnish.
    Varnish,
}

/// Configuration of a reverse proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    /// The example configuration, under `/gw/`.
    Example,
    /// Only the listen address and the gateway's address.
    Shortest,
}

/// A running proxy. It ends when dropped.
pub struct Proxy {
    /// URL of the proxy.
    pub url: String,
    process: Process,
    _home: TempDir,
}

impl Software {
    /// All reverse proxies.
    pub const ALL: [Self; 5] = [Self::Nginx, Self::Haproxy, Self::Apache, Self::Caddy, Self::Varnish];

    /// Starts the proxy in front of the gateway at port `gateway`, and waits until it listens at `host`.
    ///
    /// # Panics
    ///
    /// If the proxy does not start.
    pub async fn start(self, setup: Setup, host: &str, gateway: u16) -> Proxy {
        self.start_with(setup, host, gateway, |command| command).await
    }

    /// Starts the proxy like [`Self::start`], with a modified command.
    ///
    /// # Panics
    ///
    /// If the proxy does not start.
    pub async fn start_with(
        self,
        setup: Setup,
        host: &str,
        gateway: u16,
        wrap: impl FnOnce(Command) -> Command,
    ) -> Proxy {
        self.start_before(setup, host, format!("127.0.0.1:{gateway}"), wrap).await
    }

    /// Starts nginx in front of the gateway at a Unix socket, and waits until it listens.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub async fn nginx_before_socket(socket: &Path) -> Proxy {
        let gateway = format!("unix:{}", socket.display());
        Self::Nginx.start_before(Setup::Shortest, "127.0.0.1", gateway, |command| command).await
    }

    async fn start_before(
        self,
        setup: Setup,
        host: &str,
        gateway: String,
        wrap: impl FnOnce(Command) -> Command,
    ) -> Proxy {
        let home = tempfile::tempdir().expect("a temporary folder");
        let own = free_port();
        let place = Place { home: home.path(), address: format!("{host}:{own}"), gateway };
        let text = match setup {
            Setup::Example => place.adapt(&self.example()),
            Setup::Shortest => self.shortest(&place),
        };
        let command = wrap(self.command(&place, &text));
        let process = Process::start(command);
        if host == "127.0.0.1" {
            let address = place.address.clone();
            eventually(&format!("{self:?} listens"), async || TcpStream::connect(&address).await.ok()).await;
        }
        Proxy { url: format!("http://{host}:{own}"), process, _home: home }
    }

    fn example(self) -> String {
        let name = match self {
            Self::Nginx => "nginx.conf",
            Self::Haproxy => "haproxy.cfg",
            Self::Apache => "apache.conf",
            Self::Caddy => "Caddyfile",
            Self::Varnish => "varnish.vcl",
        };
        let file = root().join("examples/deploy/reverse-proxy").join(name);
        fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
    }

    /// Returns a minimal configuration: the listen address and the gateway's address.
    fn shortest(self, place: &Place<'_>) -> String {
        let Place { address, gateway, .. } = place;
        match self {
            Self::Nginx => {
                format!("server {{ listen {address}; location / {{ proxy_pass http://{gateway}; }} }}")
            }
            Self::Haproxy => format!(
                "defaults\n mode http\n timeout connect 5s\n timeout client 50s\n timeout server 50s\n\
                 frontend f\n bind {address}\n default_backend b\nbackend b\n server s {gateway}\n"
            ),
            Self::Apache => format!("ProxyPass / http://{gateway}/\n"),
            Self::Caddy => {
                let (host, port) = address.rsplit_once(':').unwrap_or_default();
                format!("http://:{port} {{\n\tbind {host}\n\treverse_proxy {gateway}\n}}\n")
            }
            Self::Varnish => {
                let port = place.port();
                format!("vcl 4.1;\nbackend default {{ .host = \"127.0.0.1\"; .port = \"{port}\"; }}\n")
            }
        }
    }

    /// Returns the command for this configuration, with settings that keep the program out of system folders.
    fn command(self, place: &Place<'_>, text: &str) -> Command {
        let home = place.home.display();
        match self {
            Self::Nginx => {
                let temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
                let temp: String = temp.iter().map(|kind| format!("{kind}_temp_path {home}/{kind};\n")).collect();
                let user = if is_root() { "user root;\n" } else { "" };
                let file = place.write(&format!(
                    "daemon off;\n{user}pid {home}/pid;\nerror_log stderr;\nevents {{}}\n\
                     http {{\naccess_log off;\n{temp}{text}\n}}\n"
                ));
                program("sbin/nginx", &["-e", "stderr", "-p", &home.to_string(), "-c", &file])
            }
            Self::Haproxy => program("sbin/haproxy", &["-db", "-f", &place.write(text)]),
            Self::Apache => {
                let modules = debian().join("lib/apache2/modules");
                let names = ["mpm_event", "authz_core", "headers", "proxy", "proxy_http"];
                let load = |name: &&str| format!("LoadModule {name}_module {}/mod_{name}.so\n", modules.display());
                let load: String = names.iter().map(load).collect();
                let user = if is_root() { "User #65534\nGroup #65534\n" } else { "" };
                let file = place.write(&format!(
                    "ServerRoot {home}\nDefaultRuntimeDir {home}\nServerName gw.example\nPidFile {home}/pid\n\
                     ErrorLog /dev/stderr\n{load}{user}Mutex posixsem\nListen {}\n{text}\n",
                    place.address
                ));
                program("sbin/apache2", &["-D", "FOREGROUND", "-f", &file])
            }
            Self::Caddy => {
                let text = format!("{{\n\tadmin off\n\tauto_https off\n}}\n{text}");
                program("bin/caddy", &["run", "--adapter", "caddyfile", "--config", &place.write(&text)])
            }
            Self::Varnish => {
                let file = place.write(text);
                let large =
                    ["http_req_hdr_len=32k", "http_req_size=64k", "workspace_client=256k", "workspace_backend=256k"];
                let mut command = program("sbin/varnishd", &["-F", "-j", "none", "-a", &place.address, "-f", &file]);
                command.args(["-n", &home.to_string(), "-s", "malloc,16m", "-T", "none"]);
                command.args(large.iter().flat_map(|parameter| ["-p", parameter]));
                command
            }
        }
    }
}

/// Home folder and addresses of a proxy.
struct Place<'a> {
    home: &'a Path,
    address: String,
    /// Address of the gateway: host and port, or `unix:` and a path.
    gateway: String,
}

impl Place<'_> {
    /// Replaces the ports of an example configuration.
    fn adapt(&self, text: &str) -> String {
        let (address, gateway) = (&self.address, &self.gateway);
        let port = address.rsplit(':').next().unwrap_or_default();
        text.replace("127.0.0.1:6001", gateway)
            .replace(".port = \"6001\"", &format!(".port = \"{}\"", self.port()))
            .replace("listen 80;", &format!("listen {address};"))
            .replace("bind :80\n", &format!("bind {address}\n"))
            .replace("gw.example {", &format!("http://gw.example:{port} {{\n\tbind 127.0.0.1"))
    }

    /// Returns the port of the gateway.
    fn port(&self) -> &str {
        self.gateway.rsplit(':').next().unwrap_or_default()
    }

    fn write(&self, text: &str) -> String {
        let file = self.home.join("configuration");
        fs::write(&file, text).expect("a writable folder");
        file.display().to_string()
    }
}

impl Proxy {
    /// Starts HAProxy with this configuration, which listens at this port of 127.0.0.1.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub async fn haproxy(configuration: &str, port: u16) -> Self {
        let home = tempfile::tempdir().expect("a temporary folder");
        let file = home.path().join("configuration");
        fs::write(&file, configuration).expect("a writable folder");
        let process = Process::start(program("sbin/haproxy", &["-db", "-f", &file.to_string_lossy()]));
        let address = format!("127.0.0.1:{port}");
        eventually("HAProxy listens", async || TcpStream::connect(&address).await.ok()).await;
        Self { url: format!("http://{address}"), process, _home: home }
    }

    /// Returns the stderr of the proxy, to report with a failed test.
    #[must_use]
    pub fn err(&self) -> String {
        self.process.err()
    }
}

/// Returns the folder of unpacked packages, in place of `/usr`.
fn debian() -> PathBuf {
    installed("debian/proxies/usr")
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Prepares an unpacked program, with the libraries unpacked beside it.
fn program(path: &str, args: &[&str]) -> Command {
    let mut command = Command::new(debian().join(path));
    command.args(args).env("LD_LIBRARY_PATH", libraries(&debian())).env("HOME", "/nonexistent");
    command
}

/// Lists all folders of unpacked libraries, in the form of `LD_LIBRARY_PATH`.
pub(crate) fn libraries(usr: &Path) -> String {
    let folders = fs::read_dir(usr.join("lib")).expect("a folder").flatten().map(|entry| entry.path());
    let of_machine = folders.filter(|path| path.to_string_lossy().ends_with("-linux-gnu"));
    let with_more = of_machine.flat_map(|path| [path.clone(), path.join("varnish"), path.join("pulseaudio")]);
    with_more.map(|path| path.display().to_string()).collect::<Vec<_>>().join(":")
}
