/** Connects, shows who the server takes the caller for, and connects again with an API key. */

import { RustyDB } from "@rustydb/client";

const url = process.env["RUSTYDB_URL"] ?? "http://127.0.0.1:8080";

// Nothing is sent yet: the first call signs in, and the token is refreshed when it has expired.
const db = new RustyDB({
  url,
  credentials: { username: process.env["RUSTYDB_USERNAME"] ?? "admin", password: process.env["RUSTYDB_PASSWORD"] ?? "" },
});

const { version } = await db.admin.getVersion();
console.log(`connected to RustyDB ${version}`);

const me = await db.auth.validate();
console.log(`signed in as ${me.username} with the roles ${me.roles.join(", ")} until ${me.expires_at ?? "revoked"}`);

// A program that runs unattended is better given an API key, which can be revoked without changing a password.
const key = await db.auth.createApiKey({ name: "connect example", expires_in_days: 1 });
try {
  const withKey = new RustyDB({ url, credentials: { apiKey: key.api_key } });
  const same = await withKey.auth.validate();
  console.log(`the API key "${key.name}" speaks for ${same.username} until ${same.expires_at ?? "revoked"}`);
} finally {
  await db.auth.revokeApiKey({ id: key.id });
}
console.log("done");
