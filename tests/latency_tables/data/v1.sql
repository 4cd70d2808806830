BEGIN TRANSACTION;
CREATE TABLE failures (
	network_id INTEGER NOT NULL, 
	pass_index INTEGER NOT NULL, 
	error VARCHAR(64) NOT NULL, 
	message TEXT NOT NULL, 
	failed_at VARCHAR(40) NOT NULL, 
	PRIMARY KEY (network_id), 
	FOREIGN KEY(network_id) REFERENCES networks (id)
);
INSERT INTO "failures" VALUES(2,1,'WorkerCrashed','it died','2026-11-25T17:18:12+00:00');
CREATE TABLE meta (
	"key" VARCHAR(64) NOT NULL, 
	value TEXT NOT NULL, 
	PRIMARY KEY ("key")
);
INSERT INTO "meta" VALUES('format','mnas latency table');
INSERT INTO "meta" VALUES('schema_version','1');
INSERT INTO "meta" VALUES('created_at','2026-11-25T17:18:12+00:00');
INSERT INTO "meta" VALUES('purpose','{"space": "toy", "resolution": 32}');
INSERT INTO "meta" VALUES('facts','{"address": "local", "machine": "x86_64", "cpu_model": "a CPU", "cores": 2, "memory_bytes": 1073741824, "operating_system": "an OS", "python_version": "3.11", "runtime": "ai_edge_litert", "runtime_version": "2.3.0", "runtime_sha256": null, "abi": null, "soc": null, "clusters": [], "os_build": null, "identity": null}');
INSERT INTO "meta" VALUES('settings','{"threads": 1, "cpus": [1], "delegate": "xnnpack", "delegate_options": []}');
CREATE TABLE networks (
	id INTEGER NOT NULL, 
	name VARCHAR(64) NOT NULL, 
	role VARCHAR(16) NOT NULL, 
	graph TEXT NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (name)
);
INSERT INTO "networks" VALUES(1,'a','cover','{"inputs":[[1,1]],"dtype":"float32","nodes":[["logistic/float32/1x1/1x1",[-1]],["logistic/float32/1x2/1x2",[0]]],"outputs":[1]}');
INSERT INTO "networks" VALUES(2,'b','cover','{"inputs":[[1,3]],"dtype":"float32","nodes":[["logistic/float32/1x3/1x3",[-1]],["logistic/float32/1x2/1x2",[0]],["logistic/float32/1x2/1x2",[1]]],"outputs":[2]}');
INSERT INTO "networks" VALUES(3,'c','anchor','{"inputs":[[1,1]],"dtype":"float32","nodes":[["logistic/float32/1x1/1x1",[-1]],["logistic/float32/1x3/1x3",[0]]],"outputs":[1]}');
CREATE TABLE operator_times (
	pass_id INTEGER NOT NULL, 
	position INTEGER NOT NULL, 
	operator_id INTEGER NOT NULL, 
	mean_ms FLOAT NOT NULL, 
	labels TEXT NOT NULL, 
	PRIMARY KEY (pass_id, position), 
	FOREIGN KEY(pass_id) REFERENCES passes (id), 
	FOREIGN KEY(operator_id) REFERENCES operators (id)
);
INSERT INTO "operator_times" VALUES(1,0,1,1.0,'Sigmoid (NC)');
INSERT INTO "operator_times" VALUES(1,1,2,2.0,'Sigmoid (NC)');
INSERT INTO "operator_times" VALUES(2,0,3,3.0,'Sigmoid (NC)');
INSERT INTO "operator_times" VALUES(2,1,2,2.0,'Sigmoid (NC)');
INSERT INTO "operator_times" VALUES(2,2,2,2.0,'Sigmoid (NC)');
INSERT INTO "operator_times" VALUES(3,0,1,1.0,'Sigmoid (NC)');
INSERT INTO "operator_times" VALUES(3,1,3,3.0,'Sigmoid (NC)');
INSERT INTO "operator_times" VALUES(4,0,1,1.25,'Sigmoid (NC)');
INSERT INTO "operator_times" VALUES(4,1,2,2.5,'Sigmoid (NC)');
CREATE TABLE operators (
	id INTEGER NOT NULL, 
	"key" TEXT NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE ("key")
);
INSERT INTO "operators" VALUES(1,'logistic/float32/1x1/1x1');
INSERT INTO "operators" VALUES(2,'logistic/float32/1x2/1x2');
INSERT INTO "operators" VALUES(3,'logistic/float32/1x3/1x3');
CREATE TABLE passes (
	id INTEGER NOT NULL, 
	network_id INTEGER NOT NULL, 
	pass_index INTEGER NOT NULL, 
	started_at VARCHAR(40) NOT NULL, 
	model_sha256 VARCHAR(64) NOT NULL, 
	samples_ms TEXT NOT NULL, 
	dropped INTEGER NOT NULL, 
	reference_ms FLOAT, 
	first_inference_ms FLOAT NOT NULL, 
	initialisation_ms FLOAT NOT NULL, 
	peak_memory_bytes BIGINT, 
	context TEXT NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (network_id, pass_index), 
	FOREIGN KEY(network_id) REFERENCES networks (id)
);
INSERT INTO "passes" VALUES(1,1,0,'2026-01-02T03:04:05+00:00','0000000000000000000000000000000000000000000000000000000000000000','[6.0, 6.0, 6.0]',1,0.5,7.0,8.0,NULL,'{"facts": {"address": "local", "machine": "x86_64", "cpu_model": "a CPU", "cores": 2, "memory_bytes": 1073741824, "operating_system": "an OS", "python_version": "3.11", "runtime": "ai_edge_litert", "runtime_version": "2.3.0", "runtime_sha256": null, "abi": null, "soc": null, "clusters": [], "os_build": null, "identity": null}, "settings": {"threads": 1, "cpus": [1], "delegate": "xnnpack", "delegate_options": []}, "started_at": "2026-01-02T03:04:05+00:00", "delegate": "xnnpack", "delegated_operators": 2, "total_operators": 2, "other_load": 0.25, "throttled": null, "governor": null, "frequency_khz": null, "temperature_before_c": null, "temperature_after_c": null, "conditions": [], "fence": null, "libraries": [], "suspect": null}');
INSERT INTO "passes" VALUES(2,2,0,'2026-01-02T03:04:05+00:00','0000000000000000000000000000000000000000000000000000000000000000','[6.0, 6.0, 6.0]',1,0.5,7.0,8.0,NULL,'{"facts": {"address": "local", "machine": "x86_64", "cpu_model": "a CPU", "cores": 2, "memory_bytes": 1073741824, "operating_system": "an OS", "python_version": "3.11", "runtime": "ai_edge_litert", "runtime_version": "2.3.0", "runtime_sha256": null, "abi": null, "soc": null, "clusters": [], "os_build": null, "identity": null}, "settings": {"threads": 1, "cpus": [1], "delegate": "xnnpack", "delegate_options": []}, "started_at": "2026-01-02T03:04:05+00:00", "delegate": "xnnpack", "delegated_operators": 2, "total_operators": 2, "other_load": 0.25, "throttled": null, "governor": null, "frequency_khz": null, "temperature_before_c": null, "temperature_after_c": null, "conditions": [], "fence": null, "libraries": [], "suspect": null}');
INSERT INTO "passes" VALUES(3,3,0,'2026-01-02T03:04:05+00:00','0000000000000000000000000000000000000000000000000000000000000000','[6.0, 6.0, 6.0]',1,0.5,7.0,8.0,NULL,'{"facts": {"address": "local", "machine": "x86_64", "cpu_model": "a CPU", "cores": 2, "memory_bytes": 1073741824, "operating_system": "an OS", "python_version": "3.11", "runtime": "ai_edge_litert", "runtime_version": "2.3.0", "runtime_sha256": null, "abi": null, "soc": null, "clusters": [], "os_build": null, "identity": null}, "settings": {"threads": 1, "cpus": [1], "delegate": "xnnpack", "delegate_options": []}, "started_at": "2026-01-02T03:04:05+00:00", "delegate": "xnnpack", "delegated_operators": 2, "total_operators": 2, "other_load": 0.25, "throttled": null, "governor": null, "frequency_khz": null, "temperature_before_c": null, "temperature_after_c": null, "conditions": [], "fence": null, "libraries": [], "suspect": null}');
INSERT INTO "passes" VALUES(4,1,1,'2026-01-02T03:04:05+00:00','0000000000000000000000000000000000000000000000000000000000000000','[5.5, 6.5]',1,0.5,7.0,8.0,NULL,'{"facts": {"address": "local", "machine": "x86_64", "cpu_model": "a CPU", "cores": 2, "memory_bytes": 1073741824, "operating_system": "an OS", "python_version": "3.11", "runtime": "ai_edge_litert", "runtime_version": "2.3.0", "runtime_sha256": null, "abi": null, "soc": null, "clusters": [], "os_build": null, "identity": null}, "settings": {"threads": 1, "cpus": [1], "delegate": "xnnpack", "delegate_options": []}, "started_at": "2026-01-02T03:04:05+00:00", "delegate": "xnnpack", "delegated_operators": 2, "total_operators": 2, "other_load": 0.25, "throttled": null, "governor": null, "frequency_khz": null, "temperature_before_c": null, "temperature_after_c": null, "conditions": [], "fence": null, "libraries": [], "suspect": null}');
COMMIT;
