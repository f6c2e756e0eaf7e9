"""Keys of the reference system that this version knows and does not use: accepted without a word."""

from __future__ import annotations

REFERENCE_KEYS: frozenset[str] = frozenset(
    """
    akka.client.timeout akka.fork-join-executor.parallelism-factor akka.fork-join-executor.parallelism-max
    akka.fork-join-executor.parallelism-min akka.framesize akka.jvm-exit-on-fatal-error akka.log.lifecycle.events
    akka.lookup.timeout akka.retry-gate-closed-for akka.ssl.enabled akka.startup-timeout akka.tcp.timeout
    akka.throughput akka.transport.heartbeat.interval akka.transport.heartbeat.pause akka.transport.threshold
    application-result-store.storage-path blob.client.connect.timeout blob.client.socket.timeout blob.fetch.backlog
    blob.offload.minsize blob.server.port blob.service.ssl.enabled blob.storage.directory
    classloader.check-leaked-classloader classloader.fail-on-metaspace-oom-error
    classloader.parent-first-patterns.additional classloader.parent-first-patterns.default classloader.resolve-order
    cleanup-strategy.exponential-delay.attempts cleanup-strategy.exponential-delay.initial-backoff
    cleanup-strategy.exponential-delay.max-backoff cleanup-strategy.fixed-delay.attempts
    cleanup-strategy.fixed-delay.delay cleanup-strategy.type
    client.retry-period client.timeout cluster.evenly-spread-out-slots
    cluster.fine-grained-resource-management.enabled cluster.id cluster.intercept-user-system-exit
    cluster.io-pool.size cluster.processes.halt-on-fatal-error cluster.registration.error-delay
    cluster.services.shutdown-timeout cluster.thread-dump.stacktrace-max-depth cluster.uncaught-exception-handling
    compiler.delimited-informat.max-line-samples compiler.delimited-informat.max-sample-len
    compiler.delimited-informat.min-line-samples completed-application-store.cache-size
    completed-application-store.type env.hbase.conf.dir env.java.default-opts.all
    env.java.default-opts.jobmanager env.java.default-opts.taskmanager env.java.home env.java.opts env.java.opts.all
    env.java.opts.client env.java.opts.historyserver env.java.opts.jobmanager env.java.opts.sql-gateway
    env.java.opts.taskmanager env.log.opts env.stdout-err.redirect-to-file
    execution.allow-client-job-configurations execution.async-state.buffer-size execution.async-state.buffer-timeout
    execution.async-state.in-flight-records-limit execution.batch-shuffle-mode execution.batch-state-backend.enabled
    execution.batch.adaptive.auto-parallelism.avg-data-volume-per-task
    execution.batch.adaptive.auto-parallelism.default-source-parallelism
    execution.batch.adaptive.auto-parallelism.enabled execution.batch.adaptive.auto-parallelism.max-parallelism
    execution.batch.adaptive.auto-parallelism.min-parallelism execution.batch.job-recovery.enabled
    execution.batch.job-recovery.previous-worker.recovery.timeout execution.batch.job-recovery.snapshot.min-pause
    execution.batch.speculative.block-slow-node-duration execution.batch.speculative.enabled
    execution.batch.speculative.max-concurrent-executions execution.checkpointing.aligned-checkpoint-timeout
    execution.checkpointing.alignment-timeout execution.checkpointing.approximate-local-recovery
    execution.checkpointing.checkpoints-after-tasks-finish execution.checkpointing.cleaner.parallel-mode
    execution.checkpointing.create-subdir execution.checkpointing.data-inline-threshold execution.checkpointing.dir
    execution.checkpointing.externalized-checkpoint-retention
    execution.checkpointing.file-merging.across-checkpoint-boundary execution.checkpointing.file-merging.enabled
    execution.checkpointing.file-merging.max-file-pool-size execution.checkpointing.file-merging.max-file-size
    execution.checkpointing.file-merging.max-space-amplification execution.checkpointing.file-merging.pool-blocking
    execution.checkpointing.force-unaligned execution.checkpointing.id-of-ignored-in-flight-data
    execution.checkpointing.incremental execution.checkpointing.interval
    execution.checkpointing.interval-during-backlog execution.checkpointing.local-backup.dirs
    execution.checkpointing.local-backup.enabled execution.checkpointing.max-aligned-checkpoint-size
    execution.checkpointing.max-concurrent-checkpoints execution.checkpointing.min-pause execution.checkpointing.mode
    execution.checkpointing.num-retained execution.checkpointing.pause-sources-until-first-checkpoint
    execution.checkpointing.recover-without-channel-state.checkpoint-id execution.checkpointing.savepoint-dir
    execution.checkpointing.snapshot-compression execution.checkpointing.storage execution.checkpointing.timeout
    execution.checkpointing.tolerable-failed-checkpoints execution.checkpointing.unaligned
    execution.checkpointing.unaligned.during-recovery.enabled execution.checkpointing.unaligned.enabled
    execution.checkpointing.unaligned.forced execution.checkpointing.unaligned.interruptible-timers.enabled
    execution.checkpointing.unaligned.max-subtasks-per-channel-state-file execution.checkpointing.write-buffer-size
    execution.embedded-rpc-server.enabled execution.job-listeners execution.job-status-changed-listeners
    execution.program-config.enabled execution.savepoint-restore-mode execution.savepoint.ignore-unclaimed-state
    execution.savepoint.path execution.shutdown-on-application-finish execution.sorted-inputs.enabled
    execution.sorted-inputs.memory execution.sorted-shuffle.enabled execution.state-recovery.claim-mode
    execution.state-recovery.from-local execution.state-recovery.ignore-unclaimed-state execution.state-recovery.path
    execution.submit-failed-job-on-application-error
    execution.terminate-application-on-any-job-terminated-exceptionally external-resources
    fine-grained.shuffle-mode.all-blocking fs.allowed-fallback-filesystems fs.default-scheme fs.overwrite-files
    heartbeat.rpc-failure-threshold high-availability high-availability.cluster-id high-availability.jobmanager.port
    high-availability.kubernetes.leader-election.lease-duration
    high-availability.kubernetes.leader-election.renew-deadline
    high-availability.kubernetes.leader-election.retry-period high-availability.storageDir high-availability.type
    high-availability.use-old-ha-services high-availability.zookeeper.client.acl
    high-availability.zookeeper.client.authorization high-availability.zookeeper.client.connection-timeout
    high-availability.zookeeper.client.ensemble-tracker high-availability.zookeeper.client.max-close-wait
    high-availability.zookeeper.client.max-retry-attempts high-availability.zookeeper.client.retry-wait
    high-availability.zookeeper.client.session-timeout
    high-availability.zookeeper.client.tolerate-suspended-connections high-availability.zookeeper.path.applications
    high-availability.zookeeper.path.checkpoint-counter high-availability.zookeeper.path.checkpoints
    high-availability.zookeeper.path.execution-plans high-availability.zookeeper.path.jobgraphs
    high-availability.zookeeper.path.latch high-availability.zookeeper.path.leader
    high-availability.zookeeper.path.root high-availability.zookeeper.path.running-registry
    high-availability.zookeeper.quorum high-availability.zookeeper.storageDir historyserver.archive.clean-expired-jobs
    historyserver.archive.fs.dir historyserver.archive.fs.refresh-interval
    historyserver.archive.num-cached-most-recently-viewed-jobs historyserver.archive.retained-applications
    historyserver.archive.retained-jobs historyserver.archive.retained-ttl historyserver.log.jobmanager.url-pattern
    historyserver.log.taskmanager.url-pattern historyserver.web.address historyserver.web.port
    historyserver.web.refresh-interval historyserver.web.ssl.enabled historyserver.web.tmpdir
    io.manager.async.num-read-write-thread-pair io.tmp.dirs jmx.server.port
    job-event.store.write-buffer.flush-interval job-event.store.write-buffer.size job-result-store.delete-on-commit
    job-result-store.storage-path jobmanager.adaptive-batch-scheduler.avg-data-volume-per-task
    jobmanager.adaptive-batch-scheduler.default-source-parallelism jobmanager.adaptive-batch-scheduler.max-parallelism
    jobmanager.adaptive-batch-scheduler.min-parallelism jobmanager.adaptive-batch-scheduler.speculative.enabled
    jobmanager.adaptive-scheduler.executing.cooldown-after-rescaling
    jobmanager.adaptive-scheduler.executing.resource-stabilization-timeout
    jobmanager.adaptive-scheduler.max-delay-for-scale-trigger jobmanager.adaptive-scheduler.min-parallelism-increase
    jobmanager.adaptive-scheduler.prefer-minimal-taskmanagers
    jobmanager.adaptive-scheduler.rescale-trigger.max-checkpoint-failures
    jobmanager.adaptive-scheduler.rescale-trigger.max-delay
    jobmanager.adaptive-scheduler.resource-stabilization-timeout jobmanager.adaptive-scheduler.resource-wait-timeout
    jobmanager.adaptive-scheduler.scaling-interval.max jobmanager.adaptive-scheduler.scaling-interval.min
    jobmanager.adaptive-scheduler.submission.resource-stabilization-timeout
    jobmanager.adaptive-scheduler.submission.resource-wait-timeout jobmanager.archive.fs.dir
    jobmanager.execution.attempts-history-size jobmanager.failure-enrichers jobmanager.future-pool.size
    jobmanager.heap.mb jobmanager.heap.size jobmanager.io-pool.size jobmanager.memory.enable-jvm-direct-memory-limit
    jobmanager.memory.flink.size jobmanager.memory.heap.size jobmanager.memory.jvm-metaspace.size
    jobmanager.memory.jvm-overhead.fraction jobmanager.memory.jvm-overhead.max jobmanager.memory.jvm-overhead.min
    jobmanager.memory.off-heap.size
    jobmanager.partition.hybrid.partition-data-consume-constraint jobmanager.partition.release-during-job-execution
    jobmanager.resource-id jobmanager.retrieve-taskmanager-hostname jobmanager.scheduler
    jobmanager.scheduler.aggressive-slot-management jobmanager.tdd.offload.minsize jobmanager.web.checkpoints.history
    jobmanager.web.history jobmanager.web.log.path jobmanager.web.submit.enable jobmanager.web.tmpdir
    jobstore.cache-size jobstore.type local.number-resourcemanager local.number-taskmanager metrics.fetcher.timeout
    metrics.fetcher.update-interval metrics.internal.query-service.port metrics.internal.query-service.thread-priority
    metrics.job.status.enable metrics.latency.granularity metrics.latency.history-size metrics.latency.interval
    metrics.partial-latency.enabled metrics.reporters metrics.scope.delimiter metrics.scope.jm metrics.scope.jm-job
    metrics.scope.jm-operator metrics.scope.jm.job metrics.scope.operator metrics.scope.task metrics.scope.tm
    metrics.scope.tm-job metrics.scope.tm.job metrics.system-resource metrics.system-resource-probing-interval
    minicluster.number-of-taskmanagers pekko.client-socket-worker-pool.pool-size-factor
    pekko.client-socket-worker-pool.pool-size-max pekko.client-socket-worker-pool.pool-size-min
    pekko.fork-join-executor.parallelism-factor pekko.fork-join-executor.parallelism-max
    pekko.fork-join-executor.parallelism-min pekko.framesize pekko.jvm-exit-on-fatal-error pekko.log.lifecycle.events
    pekko.lookup.timeout pekko.remote-fork-join-executor.parallelism-factor
    pekko.remote-fork-join-executor.parallelism-max pekko.remote-fork-join-executor.parallelism-min
    pekko.retry-gate-closed-for pekko.server-socket-worker-pool.pool-size-factor
    pekko.server-socket-worker-pool.pool-size-max pekko.server-socket-worker-pool.pool-size-min pekko.ssl.enabled
    pekko.startup-timeout pekko.tcp.timeout pekko.throughput pipeline.auto-type-registration pipeline.classpaths
    pipeline.closure-cleaner-level pipeline.default-kryo-serializers pipeline.force-avro pipeline.force-kryo
    pipeline.force-kryo-avro pipeline.generic-types pipeline.jars pipeline.jobvertex-parallelism-overrides
    pipeline.registered-kryo-types pipeline.registered-pojo-types pipeline.serialization-config
    pipeline.time-characteristic pipeline.watermark-alignment.allow-unaligned-source-splits
    pipeline.watermark-alignment.buffer-size process.jobmanager.working-dir process.taskmanager.working-dir
    process.working-dir python.execution-mode python.fn-execution.arrow.batch.size
    python.fn-execution.buffer.memory.size python.fn-execution.bundle.size python.fn-execution.bundle.time
    python.fn-execution.framework.memory.size python.fn-execution.memory.managed python.fn-execution.streaming.enabled
    python.job-options python.logging.default.level python.map-state.iterate-response-batch-size
    python.map-state.read-cache-size python.map-state.write-cache-size python.metric.enabled
    python.operator-chaining.enabled python.profile.enabled python.state.cache-size python.systemenv.enabled
    python.udf.runtime queryable-state.client.network-threads queryable-state.enable
    queryable-state.proxy.network-threads queryable-state.proxy.ports queryable-state.proxy.query-threads
    queryable-state.server.network-threads queryable-state.server.ports queryable-state.server.query-threads
    resourcemanager.job.timeout resourcemanager.rpc.port resourcemanager.standalone.start-up-time
    resourcemanager.taskmanager-registration.timeout rest.async.store-duration rest.await-leader-timeout
    rest.cache.checkpoint-statistics.size rest.cache.checkpoint-statistics.timeout rest.client.max-content-length
    rest.flamegraph.cleanup-interval rest.flamegraph.delay-between-samples rest.flamegraph.enabled
    rest.flamegraph.num-samples rest.flamegraph.refresh-interval rest.flamegraph.stack-depth rest.profiling.dir
    rest.profiling.duration-max rest.profiling.enabled rest.profiling.history-size rest.server.numThreads
    rest.url-prefix
    scheduler-mode security.context.factory.classes security.delegation.token.provider.hadoopfs.enabled
    security.delegation.token.provider.hbase.enabled security.delegation.tokens.enabled
    security.delegation.tokens.renewal.retry.backoff security.delegation.tokens.renewal.retry.initial.backoff
    security.delegation.tokens.renewal.retry.max.backoff security.delegation.tokens.renewal.time-ratio
    security.kerberos.fetch.delegation-token
    security.kerberos.login.contexts
    security.kerberos.login.use-ticket-cache security.kerberos.relogin.period
    security.kerberos.tokens.renewal.retry.backoff security.kerberos.tokens.renewal.time-ratio
    security.module.factory.classes security.ssl.algorithms security.ssl.internal.cert.fingerprint
    security.ssl.internal.close-notify-flush-timeout security.ssl.internal.handshake-timeout
    security.ssl.internal.key-password security.ssl.internal.keystore security.ssl.internal.keystore-password
    security.ssl.internal.keystore-type security.ssl.internal.session-cache-size security.ssl.internal.session-timeout
    security.ssl.internal.truststore security.ssl.internal.truststore-password security.ssl.internal.truststore-type
    security.ssl.key-password security.ssl.keystore security.ssl.keystore-password security.ssl.protocol
    security.ssl.provider security.ssl.rest.authentication-enabled security.ssl.rest.cert.fingerprint
    security.ssl.rest.enabled security.ssl.rest.key-password security.ssl.rest.keystore
    security.ssl.rest.keystore-password security.ssl.rest.keystore-type security.ssl.rest.truststore
    security.ssl.rest.truststore-password security.ssl.rest.truststore-type security.ssl.truststore
    security.ssl.truststore-password security.ssl.verify-hostname slot.idle.timeout slotmanager.max-total-resource.cpu
    slotmanager.max-total-resource.memory slotmanager.memory.max slotmanager.min-total-resource.cpu
    slotmanager.min-total-resource.memory slotmanager.redundant-taskmanager-num slotmanager.requirement-check.delay
    slow-task-detector.check-interval slow-task-detector.execution-time.baseline-lower-bound
    slow-task-detector.execution-time.baseline-multiplier slow-task-detector.execution-time.baseline-ratio
    state.backend state.backend.async state.backend.changelog.enabled state.backend.changelog.max-failures-allowed
    state.backend.changelog.periodic-materialize.enabled state.backend.changelog.periodic-materialize.interval
    state.backend.changelog.storage state.backend.fs.memory-threshold state.backend.incremental
    state.backend.latency-track.history-size state.backend.latency-track.keyed-state-enabled
    state.backend.latency-track.sample-interval state.backend.latency-track.state-name-as-variable
    state.backend.local-recovery state.backend.rocksdb.localdir state.backend.rocksdb.memory.managed
    state.backend.rocksdb.memory.write-buffer-ratio state.backend.rocksdb.timer-service.factory state.backend.type
    state.changelog.enabled state.changelog.max-failures-allowed state.changelog.periodic-materialize.enabled
    state.changelog.periodic-materialize.interval state.changelog.storage state.checkpoint-storage
    state.checkpoint.cleaner.parallel-mode state.checkpoints.create-subdir state.checkpoints.dir
    state.checkpoints.num-retained state.latency-track.history-size state.latency-track.keyed-state-enabled
    state.latency-track.sample-interval state.latency-track.state-name-as-variable state.savepoints.dir
    state.size-track.history-size state.size-track.keyed-state-enabled state.size-track.sample-interval
    state.size-track.state-name-as-variable state.storage.fs.memory-threshold state.storage.fs.write-buffer-size
    state.ttl.compaction.strategy table.exec.state.ttl task.cancellation.timers.timeout
    task.checkpoint.alignment.max-size taskmanager.cluster.node-id taskmanager.collect-sink.port
    taskmanager.data.bind-port taskmanager.data.ssl.enabled taskmanager.debug.memory.log
    taskmanager.debug.memory.log-interval taskmanager.exit-on-fatal-akka-error taskmanager.heap.mb
    taskmanager.heap.size taskmanager.host.bind-policy taskmanager.initial-registration-pause
    taskmanager.jvm-exit-on-oom taskmanager.log.path taskmanager.max-registration-pause
    taskmanager.memory.framework.heap.size taskmanager.memory.framework.off-heap.batch-shuffle.size
    taskmanager.memory.framework.off-heap.size taskmanager.memory.jvm-metaspace.size
    taskmanager.memory.managed.consumer-weights taskmanager.memory.min-segment-size taskmanager.memory.off-heap
    taskmanager.memory.preallocate taskmanager.memory.segment-size taskmanager.memory.task.off-heap.size
    taskmanager.network.batch-shuffle.compression.enabled taskmanager.network.bind-policy
    taskmanager.network.blocking-shuffle.compression.enabled taskmanager.network.blocking-shuffle.type
    taskmanager.network.compression.codec taskmanager.network.detailed-metrics
    taskmanager.network.hybrid-shuffle.enable-new-mode taskmanager.network.hybrid-shuffle.memory-decoupling.enabled
    taskmanager.network.hybrid-shuffle.num-retained-in-memory-regions-max
    taskmanager.network.hybrid-shuffle.remote.path taskmanager.network.hybrid-shuffle.spill-index-region-group-size
    taskmanager.network.hybrid-shuffle.spill-index-segment-size taskmanager.network.max-num-tcp-connections
    taskmanager.network.max-overdraft-buffers-per-gate taskmanager.network.memory.buffer-debloat.enabled
    taskmanager.network.memory.buffer-debloat.period taskmanager.network.memory.buffer-debloat.samples
    taskmanager.network.memory.buffer-debloat.target taskmanager.network.memory.buffer-debloat.threshold-percentages
    taskmanager.network.memory.buffers-per-channel taskmanager.network.memory.exclusive-buffers-request-timeout-ms
    taskmanager.network.memory.floating-buffers-per-gate taskmanager.network.memory.max-buffers-per-channel
    taskmanager.network.memory.max-overdraft-buffers-per-gate
    taskmanager.network.memory.read-buffer.required-per-gate.max taskmanager.network.netty.client.connectTimeoutSec
    taskmanager.network.netty.client.numThreads taskmanager.network.netty.client.tcp.keepCount
    taskmanager.network.netty.client.tcp.keepIdleSec taskmanager.network.netty.client.tcp.keepIntervalSec
    taskmanager.network.netty.num-arenas taskmanager.network.netty.sendReceiveBufferSize
    taskmanager.network.netty.server.backlog taskmanager.network.netty.server.numThreads
    taskmanager.network.netty.transport taskmanager.network.numberOfBuffers
    taskmanager.network.partition-request-timeout taskmanager.network.request-backoff.initial
    taskmanager.network.request-backoff.max taskmanager.network.retries taskmanager.network.sort-shuffle.min-buffers
    taskmanager.network.sort-shuffle.min-parallelism taskmanager.network.tcp-connection.enable-reuse-across-jobs
    taskmanager.refused-registration-pause taskmanager.registration.initial-backoff
    taskmanager.registration.max-backoff taskmanager.registration.refused-backoff taskmanager.rpc.port
    taskmanager.runtime.fs-hash-shuffle taskmanager.runtime.hashjoin-bloom-filters
    taskmanager.runtime.large-record-handler taskmanager.runtime.max-fan taskmanager.runtime.sort-spilling-threshold
    taskmanager.slot.timeout taskmanager.system-out.log.cache-size taskmanager.system-out.log.thread-name.enabled
    taskmanager.system-out.mode taskmanager.tmp.dirs taskmanager.unresolved-host-fallback user.artifacts.artifact-list
    user.artifacts.base-dir web.backpressure.cleanup-interval web.backpressure.delay-between-samples
    web.backpressure.num-samples web.backpressure.refresh-interval web.checkpoints.history web.error-log-limit
    web.history web.log.path web.rescale.enable web.ssl.enabled web.submit.enable web.timeout web.tmpdir
    web.upload.dir yarn.appmaster.rpc.address yarn.appmaster.rpc.port yarn.heap-cutoff-min yarn.heap-cutoff-ratio
    yarn.maximum-failed-containers yarn.reallocate-failed yarn.security.appmaster.delegation.token.services
    zookeeper.sasl.disable zookeeper.sasl.login-context-name zookeeper.sasl.service-name
    """.split()  # noqa: SIM905
)

FREE_PREFIXES: tuple[str, ...] = (
    "containerized.master.env.",
    "containerized.taskmanager.env.",
    "events.reporter.",
    "external-resource.",
    "flink.hadoop.",
    "flink.yarn.",
    "fs.allowed-fallback-filesystems.",
    "fs.azure.",
    "fs.cosn.",
    "fs.gs.",
    "fs.hdfs.",
    "fs.oss.",
    "fs.s3.",
    "fs.s3a.",
    "fs.s3n.",
    "gs.",
    "hive.",
    "kubernetes.",
    "metrics.reporter.",
    "metrics.scope.variables.additional.",
    "oss.",
    "pipeline.global-job-parameters.",
    "pipeline.jobvertex-parallelism-overrides.",
    "s3.",
    "s3a.",
    "security.delegation.token.provider.",
    "sql-client.",
    "sql-gateway.",
    "state.backend.forst.",
    "state.backend.rocksdb.",
    "table.",
    "traces.reporter.",
    "yarn.application-master.env.",
    "yarn.taskmanager.env.",
    "zookeeper.",
)


def is_reference_key(key: str) -> bool:
    """Whether the reference system has this very key."""
    return key in REFERENCE_KEYS


def has_free_suffix(key: str) -> bool:
    """Whether the key belongs to a family whose members the user names, or that another system defines."""
    return key.startswith(FREE_PREFIXES)
