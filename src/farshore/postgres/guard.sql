-- The guard: PostgreSQL itself refuses commits on guarded tables when the lease has ended (docs/decisions/0002).
-- The times live in sequences because a sequence is not under MVCC: an old snapshot still reads the fence.
-- https://www.postgresql.org/docs/15/sql-createsequence.html (Notes), /docs/15/sql-createtrigger.html
-- Installed again, it needs no lease.
do $$ begin
    if to_regproc('farshore.own_ddl') is not null then
        perform farshore.own_ddl();
    end if;
end $$;
create schema if not exists farshore;
grant usage on schema farshore to public;

create table if not exists farshore.lease (
    one boolean primary key default true check (one),
    region text,
    epoch bigint not null default 0,
    fenced boolean not null default true,
    enforcing boolean not null default false
);
insert into farshore.lease default values on conflict do nothing;

-- One row per grant; snapshot and replayed_at say what this volume held when the epoch began.
create table if not exists farshore.epochs (
    epoch bigint primary key,
    region text not null,
    granted_at timestamptz not null,
    lsn pg_lsn not null,
    snapshot pg_snapshot not null,
    replayed_at timestamptz
);

-- Written by the first write of an epoch: proof that the granted writer takes a guarded, confirmed commit.
create table if not exists farshore.proof (
    epoch bigint primary key,
    proved_at timestamptz not null
);

create sequence if not exists farshore.until_us minvalue 0 start 0;
create sequence if not exists farshore.incarnation_us minvalue 0 start 0;
create sequence if not exists farshore.epoch_now minvalue 0 start 0;
grant select on farshore.lease, farshore.epochs to public;
grant select on farshore.until_us, farshore.incarnation_us, farshore.epoch_now to public;

-- Whether this very server process may write now. A restart or a promotion changes the postmaster's start
-- time, so an inherited lease is void until the next renewal.
create or replace function farshore.in_lease() returns boolean language plpgsql volatile as $$
begin
    return coalesce(pg_catalog.pg_sequence_last_value('farshore.incarnation_us'), 0)
             = (pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time()) * 1e6)::bigint
       and coalesce(pg_catalog.pg_sequence_last_value('farshore.until_us'), 0)
             > pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()) * 1e6::float8;
end $$;

-- The gate is taken before the lease is read, so a barrier waits for everyone who has read it.
create or replace function farshore.check_commit() returns trigger language plpgsql as $$
begin
    if pg_catalog.set_config('farshore.check_due', '', true) is null
       or pg_catalog.pg_advisory_xact_lock_shared(7041, 1) is null
       or coalesce(pg_catalog.pg_sequence_last_value('farshore.incarnation_us'), 0)
            <> (pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time()) * 1e6)::bigint
       or coalesce(pg_catalog.pg_sequence_last_value('farshore.until_us'), 0)
            <= pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()) * 1e6::float8
    then
        raise exception 'farshore: this region may not write now' using errcode = '25006',
            hint = 'The lease of this region has ended or was fenced; connect to the writer of the current epoch.';
    end if;
    return null;
end $$;

create or replace function farshore.warn_commit() returns trigger language plpgsql as $$
begin
    perform pg_catalog.set_config('farshore.check_due', '', true);
    if not farshore.in_lease() then
        raise warning 'farshore: this region would refuse this commit if the guard enforced';
    end if;
    return null;
end $$;

create or replace function farshore.no_truncate() returns trigger language plpgsql as $$
begin
    raise exception 'farshore: TRUNCATE of a guarded table is refused' using errcode = '25006',
        hint = 'Use DELETE, or `farshore guard uninstall` for this table during maintenance.';
end $$;

-- One check a transaction, not one a row: the first row asks for it, the check itself takes the mark away, so that
-- a later row (SET CONSTRAINTS IMMEDIATE, another deferred trigger) asks again. A subtransaction that is rolled back
-- takes its mark along with its check, and a mark of another transaction counts for nothing. A function of its own,
-- with one expression: PostgreSQL parses a trigger's WHEN clause anew for each statement.
create or replace function farshore.asks_for_check() returns boolean language plpgsql as $$
begin
    return case when pg_catalog.current_setting('farshore.check_due', true) = pg_catalog.pg_current_xact_id()::text
                then false
                else pg_catalog.set_config('farshore.check_due', pg_catalog.pg_current_xact_id()::text, true)
                     is not null end;
end $$;

create or replace function farshore.guard(guarded regclass) returns void language plpgsql as $$
declare
    checker text := (select case when enforcing then 'check_commit' else 'warn_commit' end from farshore.lease);
begin
    perform farshore.unguard(guarded);
    execute pg_catalog.format(
        'create constraint trigger zz_farshore after insert or update or delete on %s '
        'deferrable initially deferred for each row when (farshore.asks_for_check()) '
        'execute function farshore.%I()', guarded, checker);
    execute pg_catalog.format('alter table %s enable always trigger zz_farshore', guarded);
    execute pg_catalog.format(
        'create trigger zz_farshore_truncate before truncate on %s '
        'for each statement execute function farshore.no_truncate()', guarded);
    execute pg_catalog.format('alter table %s enable always trigger zz_farshore_truncate', guarded);
end $$;

create or replace function farshore.unguard(guarded regclass) returns void language plpgsql as $$
begin
    perform farshore.own_ddl();
    execute pg_catalog.format('drop trigger if exists zz_farshore on %s', guarded);
    execute pg_catalog.format('drop trigger if exists zz_farshore_truncate on %s', guarded);
end $$;

create or replace view farshore.guarded as
    select tgrelid::regclass as guarded, tgfoid::regproc::text = 'farshore.check_commit' as enforcing
    from pg_catalog.pg_trigger where tgname = 'zz_farshore' and tgparentid = 0;
grant select on farshore.guarded to public;

create or replace function farshore.set_enforcing(wanted boolean) returns void language plpgsql as $$
begin
    update farshore.lease set enforcing = wanted;
    perform farshore.guard(guarded) from farshore.guarded;
end $$;

-- DDL is refused as DML is, by the same check at commit: each command leaves a line in a guarded table, which also
-- names what a lost region had changed. Temporary objects are nobody's, and the guard's own triggers must come and go
-- without a lease (break-glass). https://www.postgresql.org/docs/15/event-trigger-definition.html
create table if not exists farshore.ddl (at timestamptz not null, by name not null, command text not null);
create table if not exists farshore.own_ddl (xid xid8 not null);

create or replace function farshore.own_ddl() returns void language plpgsql as $$
begin
    delete from farshore.own_ddl where xid <> pg_catalog.pg_current_xact_id();
    insert into farshore.own_ddl values (pg_catalog.pg_current_xact_id());
end $$;

create or replace function farshore.note_ddl() returns event_trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    lasts boolean;
begin
    if tg_event = 'sql_drop' then
        lasts := exists (select from pg_event_trigger_dropped_objects() where not is_temporary);
    else
        lasts := exists (select from pg_event_trigger_ddl_commands() where schema_name is distinct from 'pg_temp');
    end if;
    if lasts and not exists (select from farshore.own_ddl where xid = pg_current_xact_id()) then
        insert into farshore.ddl values (clock_timestamp(), session_user, tg_tag);
    end if;
end $$;

-- Event triggers are for superusers, and on RDS for rds_superuser; false where this role may not create them.
-- https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/PostgreSQL.Concepts.General.FeatureSupport.EventTriggers.html
create or replace function farshore.guard_ddl() returns boolean language plpgsql as $$
begin
    perform farshore.guard('farshore.ddl');
    if not exists (select from pg_catalog.pg_event_trigger where evtname = 'zz_farshore_ddl') then
        create event trigger zz_farshore_ddl on ddl_command_end execute function farshore.note_ddl();
        create event trigger zz_farshore_drop on sql_drop execute function farshore.note_ddl();
        alter event trigger zz_farshore_ddl enable always;
        alter event trigger zz_farshore_drop enable always;
    end if;
    return true;
exception when insufficient_privilege then
    return false;
end $$;

create or replace function farshore.unguard_ddl() returns void language plpgsql as $$
begin
    drop event trigger if exists zz_farshore_ddl;
    drop event trigger if exists zz_farshore_drop;
    perform farshore.unguard('farshore.ddl');
end $$;

-- Only a higher epoch is granted, and the grant itself opens nothing: the first renewal does.
create or replace function farshore.grant_epoch(new_region text, new_epoch bigint) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    held pg_snapshot := pg_current_snapshot();
begin
    update farshore.lease set region = new_region, epoch = new_epoch, fenced = false where epoch < new_epoch;
    if not found then
        return exists (select from farshore.lease
                       where epoch = new_epoch and region = new_region and not fenced);
    end if;
    perform setval('farshore.until_us', 0);
    perform setval('farshore.epoch_now', new_epoch);
    insert into farshore.epochs
        values (new_epoch, new_region, clock_timestamp(), pg_current_wal_lsn(), held,
                pg_last_xact_replay_timestamp());
    return true;
end $$;

-- `started` is this server's own clock_timestamp(), read before the renewal in the authority table began.
-- Durability adds nothing here (a crash voids the lease), so the renewal waits for no disk and no standby.
create or replace function farshore.renew(held_epoch bigint, started timestamptz, ttl interval) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    is_fenced boolean;
begin
    set local synchronous_commit = off;
    select fenced into is_fenced from farshore.lease where epoch = held_epoch for update;
    if is_fenced is distinct from false then
        return false;
    end if;
    perform setval('farshore.incarnation_us', (date_part('epoch', pg_postmaster_start_time()) * 1e6)::bigint);
    -- A late renewal shortens nothing; an end that lies further off than any lease is long says that the clock
    -- stepped back, and is taken back.
    perform setval('farshore.until_us', least(
        greatest(coalesce(pg_sequence_last_value('farshore.until_us'), 0),
                 (date_part('epoch', started + ttl) * 1e6)::bigint),
        (date_part('epoch', clock_timestamp() + ttl) * 1e6)::bigint));
    return true;
end $$;

-- Sticky for its epoch: no late renewal undoes it.
create or replace function farshore.fence(old_epoch bigint) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    update farshore.lease set fenced = true where epoch = old_epoch;
    if not found then
        return false;
    end if;
    perform setval('farshore.until_us', 0);
    return true;
end $$;

-- Returns once no transaction that passed its check before the fence is still on its way to disk.
create or replace function farshore.barrier() returns void language plpgsql as $$
begin
    perform pg_catalog.pg_advisory_xact_lock(7041, 1);
end $$;

-- Behind a fence: waits for transactions past their check as the barrier does, ends the sessions that hold it up for
-- longer than `patience`, and tells where the log ends then. Null while it is not certain that nothing follows.
create or replace function farshore.drain(old_epoch bigint, patience interval) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if not exists (select from farshore.lease where epoch = old_epoch and fenced) then
        return null;
    end if;
    perform set_config('lock_timeout', greatest(1, (date_part('epoch', patience) * 1000)::int)::text, true);
    begin
        perform pg_advisory_xact_lock(7041, 1);
    exception when lock_not_available then
        perform pg_terminate_backend(pid) from pg_locks
        where locktype = 'advisory' and classid = 7041 and objid = 1 and objsubid = 2 and granted
          and pid <> pg_backend_pid();
        perform pg_advisory_xact_lock(7041, 1);
    end;
    if exists (select from pg_prepared_xacts) then
        return null;
    end if;
    return (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint;
exception when lock_not_available then
    return null;
end $$;

-- The epoch in which the commit just made is certain to be the only writer's, or null: treat null as unknown.
create or replace function farshore.confirm() returns bigint language plpgsql volatile as $$
begin
    return case when farshore.in_lease() and not pg_catalog.pg_is_in_recovery()
                then pg_catalog.pg_sequence_last_value('farshore.epoch_now') end;
end $$;

revoke all on function farshore.grant_epoch(text, bigint), farshore.renew(bigint, timestamptz, interval),
    farshore.fence(bigint), farshore.barrier(), farshore.drain(bigint, interval), farshore.guard(regclass), farshore.unguard(regclass),
    farshore.own_ddl(), farshore.guard_ddl(), farshore.unguard_ddl(),
    farshore.set_enforcing(boolean) from public;
