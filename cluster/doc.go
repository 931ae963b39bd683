// Package cluster proves from outside, by the command line only, what usagelake
// says of object stores and of loads that are cut into steps: with a real S3
// server (versitygw) behind a proxy that breaks what it is told to, and with
// processes that are killed, stopped and started twice.
//
// "go test ./..." runs the short form. "cluster/run --long" runs all of it:
// every request of the crash enumeration instead of a sample, objects that need
// a multipart upload both ways, and 5 GB by one process and by four shards.
package cluster
