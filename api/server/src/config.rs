//! Settings: defaults, then the configuration file, then the environment and the command line.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use rustydb_services::{
    BUFFER_POOL_BYTES_DEFAULT, DEADLOCK_TIMEOUT_US_DEFAULT, LogRetention, VERSION_RETENTION_US_DEFAULT,
    VERSION_RETENTION_US_MAX, WRITE_SET_MEMORY_BYTES_DEFAULT, WRITE_SET_MEMORY_BYTES_MIN,
};
use serde::Deserialize;

/// Where the server listens unless told.
const LISTEN_DEFAULT: &str = "127.0.0.1:8080";

/// Where the data lies unless told.
pub const DATA_DIR_DEFAULT: &str = "rustydb-data";

/// Fewer frames than eight can't hold the pages of one change.
const BUFFER_POOL_BYTES_MIN: u64 = 8 * 8192;

/// What `rustydb serve` takes; each beats the configuration file.
#[derive(Debug, Default, Args)]
pub struct ServeArguments {
    /// Folder of the data; created when missing [default: rustydb-data].
    #[arg(long, env = "RUSTYDB_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// Address and port to listen on; port 0 picks a free one [default: 127.0.0.1:8080].
    #[arg(long, env = "RUSTYDB_LISTEN")]
    pub listen: Option<String>,
    /// TOML file with `data_dir`, `listen`, `allow_remote`, `change_log_max_age`, `change_log_max_bytes`, `buffer_pool_bytes`,
    /// `write_set_memory_bytes`, `version_retention_ms`, `async_commits`, `deadlock_timeout_ms`, `log` and `log_format`.
    #[arg(long, env = "RUSTYDB_CONFIG")]
    pub config: Option<PathBuf>,
    /// Listen on an address that other machines reach although the connection is not encrypted.
    #[arg(long, env = "RUSTYDB_ALLOW_REMOTE")]
    pub allow_remote: bool,
    /// Seconds for which changes are kept for subscribers that were away [default: 86400].
    #[arg(long, env = "RUSTYDB_CHANGE_LOG_MAX_AGE", value_name = "SECONDS")]
    pub change_log_max_age: Option<u64>,
    /// Bytes of changes that are kept for them, older ones leave first [default: 4294967296].
    #[arg(long, env = "RUSTYDB_CHANGE_LOG_MAX_BYTES", value_name = "BYTES")]
    pub change_log_max_bytes: Option<u64>,
    /// Bytes of memory for pages of data; at least 65536 [default: 134217728].
    #[arg(long, env = "RUSTYDB_BUFFER_POOL_BYTES", value_name = "BYTES")]
    pub buffer_pool_bytes: Option<u64>,
    /// Bytes of memory for the changes of one transaction, what exceeds them goes to a file; at least 65536 [default: 67108864].
    #[arg(long, env = "RUSTYDB_WRITE_SET_MEMORY_BYTES", value_name = "BYTES")]
    pub write_set_memory_bytes: Option<usize>,
    /// Milliseconds for which versions of rows stay readable after newer ones replaced them; at most 3600000 [default: 60000].
    #[arg(long, env = "RUSTYDB_VERSION_RETENTION_MS", value_name = "MILLISECONDS")]
    pub version_retention_ms: Option<u64>,
    /// Let callers have a commit answered before it is durable (`wait_until_durable: false`).
    #[arg(long, env = "RUSTYDB_ASYNC_COMMITS")]
    pub async_commits: bool,
    /// Milliseconds that a transaction waits for a lock before it looks for a deadlock; at least 1 [default: 100].
    #[arg(long, env = "RUSTYDB_DEADLOCK_TIMEOUT_MS", value_name = "MILLISECONDS")]
    pub deadlock_timeout_ms: Option<u64>,
    /// What to log, such as `info` or `rustydb_api=debug` [default: info].
    #[arg(long, env = "RUSTYDB_LOG")]
    pub log: Option<String>,
    /// Form of log lines [default: text].
    #[arg(long, env = "RUSTYDB_LOG_FORMAT", value_enum)]
    pub log_format: Option<LogFormat>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    Text,
    Json,
}

/// The configuration file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigFile {
    data_dir: Option<PathBuf>,
    listen: Option<String>,
    allow_remote: Option<bool>,
    change_log_max_age: Option<u64>,
    change_log_max_bytes: Option<u64>,
    buffer_pool_bytes: Option<u64>,
    write_set_memory_bytes: Option<usize>,
    version_retention_ms: Option<u64>,
    async_commits: Option<bool>,
    deadlock_timeout_ms: Option<u64>,
    log: Option<String>,
    log_format: Option<LogFormat>,
}

/// The settings in force.
#[derive(Debug, Clone)]
pub struct Config {
    pub data_dir: PathBuf,
    pub listen: SocketAddr,
    pub log_retention: LogRetention,
    pub buffer_pool_bytes: u64,
    pub write_set_memory_bytes: usize,
    pub version_retention_us: u64,
    pub async_commits: bool,
    pub deadlock_timeout_us: u64,
    pub log: String,
    pub log_format: LogFormat,
}

impl Config {
    pub fn load(arguments: ServeArguments) -> anyhow::Result<Config> {
        let file = match &arguments.config {
            Some(path) => read(path)?,
            None => ConfigFile::default(),
        };
        let listen = arguments
            .listen
            .or(file.listen)
            .unwrap_or_else(|| LISTEN_DEFAULT.to_owned());
        let listen = address(&listen)?;
        let allow_remote = arguments.allow_remote || file.allow_remote.unwrap_or(false);
        if !listen.ip().is_loopback() && !allow_remote {
            bail!(
                "{listen} is reached from other machines and the connection is not encrypted; listen on \
                 127.0.0.1 behind a proxy that ends TLS, or give --allow-remote"
            );
        }
        let retention = LogRetention::default();
        let age_us = arguments
            .change_log_max_age
            .or(file.change_log_max_age)
            .map_or(retention.age_us, |seconds| seconds.saturating_mul(1_000_000));
        let bytes = arguments
            .change_log_max_bytes
            .or(file.change_log_max_bytes)
            .unwrap_or(retention.bytes);
        let deadlock_timeout_us = arguments
            .deadlock_timeout_ms
            .or(file.deadlock_timeout_ms)
            .map_or(DEADLOCK_TIMEOUT_US_DEFAULT, |ms| ms.saturating_mul(1_000));
        if deadlock_timeout_us == 0 {
            bail!(
                "a deadlock time-out of 0 ms would have every wait look for deadlocks at once; give 1 or more"
            );
        }
        let buffer_pool_bytes = arguments
            .buffer_pool_bytes
            .or(file.buffer_pool_bytes)
            .unwrap_or(BUFFER_POOL_BYTES_DEFAULT);
        if buffer_pool_bytes < BUFFER_POOL_BYTES_MIN {
            bail!(
                "a buffer pool of {buffer_pool_bytes} bytes is too small; give at least {BUFFER_POOL_BYTES_MIN}"
            );
        }
        let write_set_memory_bytes = arguments
            .write_set_memory_bytes
            .or(file.write_set_memory_bytes)
            .unwrap_or(WRITE_SET_MEMORY_BYTES_DEFAULT);
        if write_set_memory_bytes < WRITE_SET_MEMORY_BYTES_MIN {
            bail!(
                "{write_set_memory_bytes} bytes are too small for the changes of a transaction; give at least \
                 {WRITE_SET_MEMORY_BYTES_MIN}"
            );
        }
        let version_retention_us = arguments
            .version_retention_ms
            .or(file.version_retention_ms)
            .map_or(VERSION_RETENTION_US_DEFAULT, |ms| ms.saturating_mul(1_000));
        if version_retention_us > VERSION_RETENTION_US_MAX {
            bail!(
                "versions can't be kept for {} ms; give at most {}",
                version_retention_us / 1_000,
                VERSION_RETENTION_US_MAX / 1_000
            );
        }
        Ok(Config {
            data_dir: arguments
                .data_dir
                .or(file.data_dir)
                .unwrap_or_else(|| DATA_DIR_DEFAULT.into()),
            listen,
            log_retention: LogRetention { age_us, bytes },
            buffer_pool_bytes,
            write_set_memory_bytes,
            version_retention_us,
            async_commits: arguments.async_commits || file.async_commits.unwrap_or(false),
            deadlock_timeout_us,
            log: arguments.log.or(file.log).unwrap_or_else(|| "info".to_owned()),
            log_format: arguments
                .log_format
                .or(file.log_format)
                .unwrap_or(LogFormat::Text),
        })
    }
}

fn read(path: &Path) -> anyhow::Result<ConfigFile> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
    toml::from_str(&text).with_context(|| format!("{shown} is no configuration"))
}

fn address(text: &str) -> anyhow::Result<SocketAddr> {
    let mut found = text
        .to_socket_addrs()
        .with_context(|| format!("{text:?} is no address; write HOST:PORT, such as {LISTEN_DEFAULT}"))?;
    found.next().with_context(|| format!("{text:?} has no address"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn listening_on(listen: &str, allow_remote: bool) -> anyhow::Result<Config> {
        Config::load(ServeArguments {
            listen: Some(listen.to_owned()),
            allow_remote,
            ..ServeArguments::default()
        })
    }

    #[test]
    fn a_remote_address_needs_consent() {
        let error = listening_on("0.0.0.0:0", false).unwrap_err().to_string();
        assert!(error.contains("--allow-remote"), "{error}");
        assert_eq!(listening_on("0.0.0.0:0", true).unwrap().listen.port(), 0);
        assert!(listening_on("127.0.0.1:0", false).is_ok());
        assert!(listening_on("[::1]:0", false).is_ok());
        assert!(listening_on("nonsense", false).is_err());
    }

    #[test]
    fn the_command_line_beats_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rustydb.toml");
        std::fs::write(
            &path,
            "data_dir = \"from-file\"\nlisten = \"127.0.0.1:7000\"\nlog_format = \"json\"\n",
        )
        .unwrap();
        let config = Config::load(ServeArguments {
            config: Some(path.clone()),
            listen: Some("127.0.0.1:7001".to_owned()),
            ..ServeArguments::default()
        })
        .unwrap();
        assert_eq!(config.data_dir, PathBuf::from("from-file"));
        assert_eq!(config.listen.port(), 7001);
        assert_eq!(config.log_format, LogFormat::Json);
        std::fs::write(&path, "change_log_max_age = 60\n").unwrap();
        let config = Config::load(ServeArguments {
            config: Some(path.clone()),
            change_log_max_bytes: Some(1_000),
            ..ServeArguments::default()
        })
        .unwrap();
        let kept = LogRetention {
            age_us: 60_000_000,
            bytes: 1_000,
        };
        assert_eq!(config.log_retention, kept);
        let small = Config::load(ServeArguments {
            buffer_pool_bytes: Some(100),
            ..ServeArguments::default()
        });
        assert!(format!("{:#}", small.unwrap_err()).contains("at least 65536"));
        let small = Config::load(ServeArguments {
            write_set_memory_bytes: Some(100),
            ..ServeArguments::default()
        });
        assert!(format!("{:#}", small.unwrap_err()).contains("at least 65536"));
        let long = Config::load(ServeArguments {
            version_retention_ms: Some(3_600_001),
            ..ServeArguments::default()
        });
        assert!(format!("{:#}", long.unwrap_err()).contains("at most 3600000"));
        std::fs::write(&path, "colour = \"red\"\n").unwrap();
        let refused = Config::load(ServeArguments {
            config: Some(path),
            ..ServeArguments::default()
        });
        assert!(format!("{:#}", refused.unwrap_err()).contains("colour"));
    }
}
