//! How many connections there may be, by the limit of open files.

/// Allows the process as many open files as it may have: the limit that it starts with is often 1,024, while it may be
/// raised without a privilege. Returns the limit that holds.
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

/// How many files the process may have open.
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

/// How many connections clients have by default: half of what is left beside listeners, standard streams and the runtime.
/// The other half is for upstreams.
pub fn max_connections() -> usize {
    (limit().saturating_sub(RESERVED) / 2).max(1)
}

/// How many connections each of so many endpoints has by default, at most `most`.
pub fn max_connections_of_each(endpoints: usize, most: usize) -> usize {
    (max_connections() / endpoints.max(1)).clamp(1, most)
}

/// Files that are not connections.
const RESERVED: usize = 64;
/// More than that is never needed, and is what "no limit" amounts to.
const MOST: usize = 1_000_000;
