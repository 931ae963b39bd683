"""A stand-in for the API servers of Kubernetes and AWS Batch, for deploy/check.

Jobs that kubectl or the AWS CLI submit are run at once, as processes of this
machine, with the variables that the engine would set; what the job says of exit
codes holds, and the first process of shard 1 is killed. It knows the requests of
the scripts beside it and nothing else.

    standin.py PROGRAM LOG: prints its port, and runs until its input ends.
"""

import json
import os
import re
import subprocess
import sys
import threading
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PROGRAM, LOG = sys.argv[1:]
jobs, definitions = {}, {}


def attempts(args, env, shard, limit, final):
    """Runs a process until it ends well, final says so, or it failed limit times."""
    for attempt in range(limit):
        child = subprocess.Popen([PROGRAM, *args], env={**os.environ, **env}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if shard == 1 and attempt == 0:
            child.kill()
        said = child.communicate()[1]
        code = child.returncode if child.returncode >= 0 else 128 - child.returncode
        with open(LOG, "a") as log:
            print(*args[:2], f"shard {shard} attempt {attempt}: exit code {code}", said, file=log)
        if code == 0:
            return True
        if final(code):
            return False
    return False


def kubernetes(job):
    spec = job["spec"]
    pod = spec["template"]["spec"]["containers"][0]
    rules = [r for r in spec["podFailurePolicy"]["rules"] if r["action"] == "FailJob"]
    final = lambda code: any(r["onExitCodes"]["operator"] == "In" and code in r["onExitCodes"]["values"] for r in rules)
    env = {e["name"]: e["value"] for e in pod["env"]}
    indexed = spec.get("completionMode") == "Indexed"
    ok = all(
        attempts(pod["args"], env | ({"JOB_COMPLETION_INDEX": str(i)} if indexed else {}), i, 1 + (spec["backoffLimitPerIndex"] if indexed else spec["backoffLimit"]), final)
        for i in range(spec.get("completions", 1))
    )
    job["status"] = {"conditions": [{"type": "Complete" if ok else "Failed", "status": "True"}]}


def batch(request):
    definition = definitions[request["jobDefinition"]]
    for before in request.get("dependsOn", []):
        assert jobs[before["jobId"]], f"{request['jobName']} begins although {before['jobId']} failed"
    size = request.get("arrayProperties", {}).get("size", 1)
    retry = definition["retryStrategy"]

    def final(code):
        for rule in retry["evaluateOnExit"]:
            if fnmatch(str(code), rule.get("onExitCode", "")):
                return rule["action"].upper() == "EXIT"
        return False

    env = {e["name"]: e["value"] for e in definition["containerProperties"]["environment"]}
    name = f"job-{len(jobs)}"
    jobs[name] = all(
        attempts(request["containerOverrides"]["command"], env | ({"AWS_BATCH_JOB_ARRAY_INDEX": str(i), "AWS_BATCH_JOB_ARRAY_SIZE": str(size)} if size > 1 else {}), i, retry["attempts"], final)
        for i in range(size)
    )
    return {"jobId": name, "jobName": request["jobName"]}


JOBS = "/apis/batch/v1/namespaces/default/jobs"
GROUP = {"name": "batch", "versions": [{"groupVersion": "batch/v1", "version": "v1"}], "preferredVersion": {"groupVersion": "batch/v1", "version": "v1"}}
DISCOVERY = {
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": [GROUP]},
    "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": []},
    "/apis/batch/v1": {
        "kind": "APIResourceList",
        "groupVersion": "batch/v1",
        "resources": [{"name": "jobs", "singularName": "job", "namespaced": True, "kind": "Job", "verbs": ["create", "get", "list", "patch"]}],
    },
}


class Server(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, value, status=200):
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        path = self.path.partition("?")[0]
        name = re.fullmatch(re.escape(JOBS) + "/([a-z0-9-]+)", path)
        if path in DISCOVERY:
            self.answer(DISCOVERY[path])
        elif name and name[1] in jobs:
            self.answer(jobs[name[1]])
        else:
            self.answer({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404, "message": path}, 404)

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        path = self.path.partition("?")[0]
        if path == JOBS:
            kubernetes(request)
            jobs[request["metadata"]["name"]] = request
            self.answer(request, 201)
        elif path == "/v1/registerjobdefinition":
            definitions[request["jobDefinitionName"]] = request
            self.answer({"jobDefinitionName": request["jobDefinitionName"], "jobDefinitionArn": "arn", "revision": 1})
        elif path == "/v1/submitjob":
            self.answer(batch(request))
        else:
            self.answer({"message": path}, 404)

    def log_message(self, *args):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_port, flush=True)
sys.stdin.read()
