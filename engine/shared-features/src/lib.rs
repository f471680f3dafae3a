//! Nothing but a manifest.
//!
//! Cargo unites the features of the packages that one command selects, so `cargo test -p rustydb-sql` and
//! `cargo test --workspace` would each compile DataFusion, minutes long, with features of their own. What links
//! DataFusion depends on this package, and so gets the same features whatever is selected.

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::{BTreeMap, BTreeSet};
    use std::process::Command;

    /// What is compiled for DataFusion when `selection` is: packages with their features.
    fn below_datafusion(selection: &[&str]) -> BTreeSet<String> {
        let output = Command::new(env!("CARGO"))
            .args(["tree", "--locked", "--prefix", "depth", "--format", " {p} [{f}]"])
            .args(selection)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let tree = String::from_utf8(output.stdout).unwrap();
        let mut needs: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        let mut path: Vec<&str> = Vec::new();
        for line in tree.lines().filter(|line| !line.is_empty()) {
            let (depth, package) = line.split_once(' ').unwrap();
            let package = package.trim_end_matches(" (*)");
            path.truncate(depth.parse().unwrap());
            if let Some(parent) = path.last() {
                needs.entry(parent).or_default().insert(package);
            }
            path.push(package);
        }
        let mut reached = BTreeSet::new();
        let mut next: Vec<&str> = needs
            .keys()
            .copied()
            .filter(|package| package.starts_with("datafusion v"))
            .collect();
        assert!(!next.is_empty(), "DataFusion is not there");
        while let Some(package) = next.pop() {
            if reached.insert(package.to_owned()) {
                next.extend(needs.get(package).into_iter().flatten());
            }
        }
        reached
    }

    #[test]
    fn every_selection_compiles_datafusion_alike() {
        let tested = "normal,build,dev";
        let whole = below_datafusion(&["--workspace", "--edges", tested]);
        for package in ["rustydb-sql", "rustydb-services", "rustydb"] {
            for edges in [tested, "normal,build"] {
                let part = below_datafusion(&["--package", package, "--edges", edges]);
                let apart: Vec<_> = part.symmetric_difference(&whole).collect();
                assert!(
                    apart.is_empty(),
                    "{package}, {edges}: name these features in shared-features: {apart:?}"
                );
            }
        }
    }
}
