//! The `admin` module: users, roles and the server itself.

mod facts;
#[cfg(test)]
mod tests;

use rustydb_contract::{CallContext, Empty, ServiceResult, Timestamp, async_trait};
use rustydb_contract_admin::{
    AdminCreateUserInput, AdminDeleteUserInput, AdminGetServerInfoInput, AdminGetUserInput,
    AdminGetVersionInput, AdminListPermissionsInput, AdminListRolesInput, AdminListUsersInput, AdminService,
    AdminUpdateUserInput, PermissionInfo, PermissionList, Role, RoleList, ServerInfo, User, UserList,
    VersionInfo,
};
use rustydb_contract_core::access::{PERMISSIONS, ROLES};
use rustydb_store::kernel_store::FORMAT_VERSION;
use rustydb_store::tables::TABLES_FORMAT;

use crate::identity::records::{Stored, UserRecord};
use crate::identity::{IdentityService, NewUser, UserChange, blocking, paging, permission_names};

pub use facts::ServerFacts;

const SERVER_NAME: &str = "RustyDB";
/// Of this package, which has the workspace's version as the binary has.
const SERVER_VERSION: &str = env!("CARGO_PKG_VERSION");
/// WebSocket subprotocols that the api library speaks.
const PROTOCOLS: [&str; 2] = ["graphql-transport-ws", "rustydb.json"];
/// Name of the list in cursors.
const USERS: &str = "users";

/// Answers the `admin` operations from the identities and the machine.
#[derive(Clone)]
pub struct Admin {
    identity: IdentityService,
    facts: ServerFacts,
}

impl Admin {
    pub fn new(identity: IdentityService, facts: ServerFacts) -> Admin {
        Admin { identity, facts }
    }
}

#[async_trait]
impl AdminService for Admin {
    async fn create_user(&self, _: &CallContext, input: AdminCreateUserInput) -> ServiceResult<User> {
        let new = NewUser {
            username: input.username,
            password: input.password,
            roles: input.roles,
            enabled: input.enabled.unwrap_or(true),
        };
        Ok(shown(&*self.identity.create_user(new).await?))
    }

    async fn delete_user(&self, context: &CallContext, input: AdminDeleteUserInput) -> ServiceResult<Empty> {
        self.identity.delete_user(input.id, caller_id(context)).await?;
        Ok(Empty {})
    }

    async fn get_server_info(
        &self,
        _: &CallContext,
        _: AdminGetServerInfoInput,
    ) -> ServiceResult<ServerInfo> {
        let facts = self.facts.clone();
        blocking(move || facts.server_info()).await
    }

    async fn get_user(&self, _: &CallContext, input: AdminGetUserInput) -> ServiceResult<User> {
        Ok(shown(&*self.identity.user(&input.id)?))
    }

    async fn get_version(&self, _: &CallContext, _: AdminGetVersionInput) -> ServiceResult<VersionInfo> {
        Ok(VersionInfo {
            version: SERVER_VERSION.to_owned(),
            data_format: FORMAT_VERSION,
            row_format: TABLES_FORMAT,
            protocols: PROTOCOLS.map(str::to_owned).to_vec(),
        })
    }

    async fn list_permissions(
        &self,
        _: &CallContext,
        _: AdminListPermissionsInput,
    ) -> ServiceResult<PermissionList> {
        let permissions = PERMISSIONS.iter().map(|desc| PermissionInfo {
            id: desc.name.to_owned(),
            summary: desc.summary.to_owned(),
        });
        Ok(PermissionList {
            permissions: permissions.collect(),
        })
    }

    async fn list_roles(&self, _: &CallContext, _: AdminListRolesInput) -> ServiceResult<RoleList> {
        let roles = ROLES.iter().map(|desc| Role {
            id: desc.name.to_owned(),
            summary: desc.summary.to_owned(),
            permissions: permission_names(desc.permissions),
            builtin: true,
        });
        Ok(RoleList {
            roles: roles.collect(),
        })
    }

    async fn list_users(&self, _: &CallContext, input: AdminListUsersInput) -> ServiceResult<UserList> {
        let after = paging::after(USERS, input.after)?;
        let users_max = paging::page_items(input.limit);
        let users = self.identity.users(after.as_deref(), users_max + 1);
        let (users, next) = paging::page(USERS, users, users_max, |user| &user.record.username);
        Ok(UserList {
            users: users.iter().map(|user| shown(user)).collect(),
            next,
        })
    }

    async fn update_user(&self, context: &CallContext, input: AdminUpdateUserInput) -> ServiceResult<User> {
        let change = UserChange {
            username: input.username,
            password: input.password,
            roles: input.roles,
            enabled: input.enabled,
        };
        let by = caller_id(context);
        Ok(shown(&*self.identity.update_user(input.id, change, by).await?))
    }
}

fn caller_id(context: &CallContext) -> Option<String> {
    let caller = context.principal.as_deref();
    caller.map(|caller| caller.user_id.clone())
}

fn shown(user: &Stored<UserRecord>) -> User {
    let record = &user.record;
    User {
        id: user.id.clone(),
        username: record.username.clone(),
        roles: record.roles.clone(),
        enabled: record.enabled,
        created_at: Timestamp::from_micros(record.created_at_us),
        updated_at: Timestamp::from_micros(record.updated_at_us),
    }
}
