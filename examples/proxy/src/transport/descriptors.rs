//! Derives the maximum number of connections from the limit of open files.

/// Raises the limit of open files as far as is allowed without privileges: the soft limit is often 1,024, and the hard
/// limit higher. Returns the limit in effect.
pub fn raise_limit() -> usize {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

        let limit = getrlimit(Resource::Nofile);
        let raised = Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        };
        if limit.current != limit.maximum && setrlimit(Resource::Nofile, raised).is_err() {
            tracing::debug!(?limit, "the limit of open files stays as it is");
        }
    }
    limit()
}

/// Returns the number of files that the process may have open.
pub fn limit() -> usize {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, getrlimit};

        let limit = getrlimit(Resource::Nofile).current.unwrap_or(MOST as u64);
        usize::try_from(limit).unwrap_or(MOST).min(MOST)
    }
    #[cfg(not(unix))]
    MOST
}

/// Returns the default maximum number of client connections: half of the open files that remain after listeners,
/// standard streams and the runtime. The other half is for upstreams.
pub fn max_connections() -> usize {
    (limit().saturating_sub(RESERVED) / 2).max(1)
}

/// Returns the default maximum number of connections to each of `endpoints` endpoints, limited to `most`.
pub fn max_connections_of_each(endpoints: usize, most: usize) -> usize {
    (max_connections() / endpoints.max(1)).clamp(1, most)
}

/// The number of open files reserved for what is not a connection.
const RESERVED: usize = 64;
/// More are never needed; also stands for "no limit".
const MOST: usize = 1_000_000;
