//! Checks that involve more than one value.

mod address;
mod cluster;
mod route;
mod window;

use super::Config;
use super::invalid::Invalid;
use super::key::Key;

/// Runs all checks, and returns the first error.
pub(super) fn all(config: &Config) -> Result<(), Invalid> {
    route::all(config)?;
    address::all(config)?;
    ready_clusters(config)?;
    window::all(config)?;
    let clusters = Key::from("clusters");
    for (name, cluster) in &config.clusters {
        let key = clusters.name(name);
        cluster::check(&key, cluster)?;
        address::endpoints(&key.name("endpoints"), config, cluster)?;
    }
    Ok(())
}

fn ready_clusters(config: &Config) -> Result<(), Invalid> {
    let admin = config.admin.iter();
    let names = admin.filter_map(|admin| admin.ready_clusters.as_ref());
    for (index, name) in names.flatten().enumerate() {
        let key = || Key::from("admin").name("ready_clusters").index(index);
        cluster::exists(config, name, key)?;
    }
    Ok(())
}
