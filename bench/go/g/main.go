// G is the yardstick: what somebody writes in Go in an afternoon. net/http, encoding/json and cel-go, nothing
// else: no metrics, no log line for a review, no annotations.
//
//	g -certificate tls.crt -key tls.key -rules four|twenty
//
// It listens on a free port of 127.0.0.1 and prints the address.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"runtime"
	"strings"

	"crypto/tls"
)

type review struct {
	APIVersion string    `json:"apiVersion"`
	Kind       string    `json:"kind"`
	Request    *request  `json:"request,omitempty"`
	Response   *response `json:"response,omitempty"`
}

type kind struct {
	Group   string `json:"group"`
	Version string `json:"version"`
	Kind    string `json:"kind"`
}

type request struct {
	UID         string         `json:"uid"`
	Kind        kind           `json:"kind"`
	Namespace   string         `json:"namespace"`
	Name        string         `json:"name"`
	Operation   string         `json:"operation"`
	SubResource string         `json:"subResource"`
	UserInfo    map[string]any `json:"userInfo"`
	Options     map[string]any `json:"options"`
	Object      map[string]any `json:"object"`
	OldObject   map[string]any `json:"oldObject"`
}

type response struct {
	UID     string  `json:"uid"`
	Allowed bool    `json:"allowed"`
	Status  *status `json:"status,omitempty"`
}

type status struct {
	Code    int    `json:"code"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

func main() {
	certificate := flag.String("certificate", "tls.crt", "PEM file")
	key := flag.String("key", "tls.key", "PEM file")
	which := flag.String("rules", "four", "four or twenty")
	flag.Parse()
	runtime.GOMAXPROCS(1) // one process of Python has one core, too
	rules, err := compile(*which)
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr())
	mux := http.NewServeMux()
	mux.HandleFunc("POST /validate", func(w http.ResponseWriter, r *http.Request) { validate(rules, w, r) })
	server := &http.Server{
		Handler:      mux,
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){}, // API servers call webhooks by HTTP/1.1
	}
	log.Fatal(server.ServeTLS(listener, *certificate, *key))
}

func validate(rules []rule, w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var asked review
	if err := json.Unmarshal(body, &asked); err != nil || asked.Request == nil {
		http.Error(w, "not an AdmissionReview", http.StatusBadRequest)
		return
	}
	answer := &response{UID: asked.Request.UID, Allowed: true}
	if asked.Request.Object != nil {
		if found := judge(rules, asked.Request.Object); len(found) > 0 {
			answer.Allowed = false
			answer.Status = &status{Code: http.StatusForbidden, Reason: "Forbidden", Message: strings.Join(found, "\n")}
		}
	}
	out, err := json.Marshal(review{APIVersion: asked.APIVersion, Kind: asked.Kind, Response: answer})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(out)
}
