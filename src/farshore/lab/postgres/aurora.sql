-- Aurora's views of replication, with its column names, fed by PostgreSQL's own.
-- https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora_global_db_status.html
-- https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora_global_db_instance_status.html
-- A replica's application_name is `region/instance`. A replica that is not connected has no row: its lag is unknown.

CREATE FUNCTION pg_catalog.farshore_lab_replicas(
    OUT application_name text, OUT region text, OUT instance text, OUT written pg_lsn, OUT received pg_lsn,
    OUT durable pg_lsn, OUT lag_msec float8, OUT xmin xid, OUT at timestamptz)
RETURNS SETOF record LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
    -- On the writer. A lag measured long ago, with bytes still outstanding, has grown by the silence since.
    SELECT r.application_name, split_part(r.application_name, '/', 1), split_part(r.application_name, '/', 2),
           pg_current_wal_flush_lsn(), r.write_lsn, r.flush_lsn,
           CASE WHEN r.flush_lsn >= pg_current_wal_flush_lsn() THEN 0
                ELSE greatest(extract(epoch FROM coalesce(r.flush_lag, '0'::interval)),
                              extract(epoch FROM clock_timestamp() - r.reply_time) - 1) * 1000 END,
           r.backend_xmin, r.reply_time
      FROM pg_stat_replication r
     WHERE NOT pg_is_in_recovery() AND r.state IN ('streaming', 'catchup')
    UNION ALL
    -- On a standby: itself alone. The writer speaks at least every 2.5 s, so more silence than that is lag.
    SELECT current_setting('cluster_name'), split_part(current_setting('cluster_name'), '/', 1),
           split_part(current_setting('cluster_name'), '/', 2), w.latest_end_lsn, w.written_lsn, w.flushed_lsn,
           greatest(CASE WHEN w.flushed_lsn >= w.latest_end_lsn THEN 0
                         ELSE extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) END,
                    CASE WHEN clock_timestamp() - w.last_msg_receipt_time > '3 s'
                         THEN extract(epoch FROM clock_timestamp() - w.last_msg_receipt_time) ELSE 0 END) * 1000,
           NULL::xid, w.last_msg_receipt_time
      FROM pg_stat_wal_receiver w
     WHERE pg_is_in_recovery() AND w.status = 'streaming'
$$;

CREATE FUNCTION pg_catalog.farshore_lab_writer(OUT region text, OUT written pg_lsn)
RETURNS record LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT coalesce(nullif(current_setting('farshore_lab.writer_region', true), ''), 'unknown'),
           CASE WHEN pg_is_in_recovery() THEN (SELECT latest_end_lsn FROM pg_stat_wal_receiver)
                ELSE pg_current_wal_flush_lsn() END
$$;

CREATE FUNCTION pg_catalog.aurora_global_db_status(
    OUT aws_region text, OUT highest_lsn_written bigint, OUT durability_lag_in_msec bigint,
    OUT rpo_lag_in_msec bigint, OUT last_lag_calculation_time timestamptz, OUT feedback_epoch bigint,
    OUT feedback_xmin bigint)
RETURNS SETOF record LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT region, (written - '0/0'::pg_lsn)::bigint, -1::bigint, -1::bigint, 'epoch'::timestamptz, 0::bigint, 0::bigint
      FROM farshore_lab_writer()
    UNION ALL
    SELECT region, max(durable - '0/0'::pg_lsn)::bigint, min(lag_msec)::bigint, min(lag_msec)::bigint, max(at),
           (txid_snapshot_xmax(txid_current_snapshot()) >> 32), coalesce(min(xmin::text::bigint), 0)
      FROM farshore_lab_replicas()
     WHERE region <> (farshore_lab_writer()).region
     GROUP BY region
$$;

CREATE FUNCTION pg_catalog.aurora_global_db_instance_status(
    OUT server_id text, OUT session_id text, OUT aws_region text, OUT durable_lsn bigint, OUT highest_lsn_rcvd bigint,
    OUT feedback_epoch bigint, OUT feedback_xmin bigint, OUT oldest_read_view_lsn bigint,
    OUT visibility_lag_in_msec float8)
RETURNS SETOF record LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT split_part(current_setting('cluster_name'), '/', 2), 'MASTER_SESSION_ID', region,
           (written - '0/0'::pg_lsn)::bigint, NULL::bigint, NULL::bigint, NULL::bigint, NULL::bigint, NULL::float8
      FROM farshore_lab_writer() WHERE NOT pg_is_in_recovery()
    UNION ALL
    SELECT instance, md5(application_name), region, (durable - '0/0'::pg_lsn)::bigint,
           (received - '0/0'::pg_lsn)::bigint, (txid_snapshot_xmax(txid_current_snapshot()) >> 32),
           coalesce(xmin::text::bigint, 0), (durable - '0/0'::pg_lsn)::bigint, lag_msec
      FROM farshore_lab_replicas()
$$;

REVOKE ALL ON FUNCTION farshore_lab_replicas(), farshore_lab_writer(), aurora_global_db_status(),
    aurora_global_db_instance_status() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION aurora_global_db_status(), aurora_global_db_instance_status() TO pg_monitor;
