// load sends admission reviews as an API server does: Go's own client, HTTP/1.1 over TLS, connections that are kept.
//
//	load -url https://127.0.0.1:8443/validate -ca ca.crt -body review.json -connections 8 -answer '"allowed":true'
//
// It opens the connections by one review each and then takes orders from stdin, `<reviews> <rate>`: how many to
// send, and how many a second over all connections (0: as fast as answers come). Each order is answered by a line
// of JSON. It ends with stdin. Each review has a uid of its own, in the place of the one that the body has.
package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const uidLength = 36

type client struct {
	url    string
	tls    *tls.Config
	answer []byte
	number atomic.Int64
}

type result struct {
	Reviews int     `json:"reviews"`
	Wrong   int     `json:"wrong"`
	Example string  `json:"example,omitempty"`
	Seconds float64 `json:"seconds"`
	P50     float64 `json:"p50_us"`
	P99     float64 `json:"p99_us"`
	Late    float64 `json:"late_us"` // p99 of what it was late itself
}

func main() {
	url := flag.String("url", "", "where reviews go")
	ca := flag.String("ca", "", "PEM file with the authority")
	file := flag.String("body", "", "file with a review")
	uid := flag.String("uid", "", "the uid in it, 36 characters")
	connections := flag.Int("connections", 1, "how many")
	answer := flag.String("answer", `"allowed":true`, "what a right answer contains")
	flag.Parse()
	body, err := os.ReadFile(*file)
	check(err)
	pem, err := os.ReadFile(*ca)
	check(err)
	at := bytes.Index(body, []byte(*uid))
	if len(*uid) != uidLength || at < 0 {
		log.Fatal("the body has no such uid")
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	one := &client{url: *url, tls: &tls.Config{RootCAs: pool, NextProtos: []string{"http/1.1"}}, answer: []byte(*answer)}
	lines := make([]*line, *connections)
	for i := range lines {
		lines[i], err = one.dial(slices.Clone(body), at)
		check(err)
	}
	one.run(lines, *connections*2, 0)
	fmt.Println("connected")
	for {
		var reviews int
		var rate float64
		if _, err := fmt.Scanln(&reviews, &rate); err != nil {
			return
		}
		check(json.NewEncoder(os.Stdout).Encode(one.run(lines, reviews, rate)))
	}
}

// run sends reviews over all connections. With a rate they are due evenly, and what one waits for a free connection
// counts, from when it was due: a server that stalls delays all that are due meanwhile. What this program itself is
// late, with a connection that was free, counts as well, and is told beside it.
func (c *client) run(lines []*line, reviews int, rate float64) result {
	var wrong atomic.Int64
	var example atomic.Value
	var group sync.WaitGroup
	var every time.Duration
	if rate > 0 {
		every = time.Duration(float64(time.Second) / rate)
	}
	times, late := make([]time.Duration, reviews), make([]time.Duration, reviews)
	started := time.Now()
	turns, err := pace(reviews, every)
	check(err)
	for _, line := range lines {
		group.Add(1)
		go func() {
			defer group.Done()
			free := started
			for i := range turns {
				sent := time.Now()
				due := sent
				if every > 0 {
					due = started.Add(time.Duration(i+1) * every)
				}
				late[i] = min(sent.Sub(due), sent.Sub(free))
				if said, ok := c.send(line); !ok {
					wrong.Add(1)
					example.CompareAndSwap(nil, said)
				}
				free = time.Now()
				times[i] = free.Sub(due)
			}
		}()
	}
	group.Wait()
	took := time.Since(started)
	slices.Sort(times)
	slices.Sort(late)
	said, _ := example.Load().(string)
	return result{
		reviews, int(wrong.Load()), said, took.Seconds(),
		microseconds(times, 0.5), microseconds(times, 0.99), microseconds(late, 0.99),
	}
}

func microseconds(sorted []time.Duration, share float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return float64(sorted[min(len(sorted)-1, int(share*float64(len(sorted))))].Nanoseconds()) / 1000
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
