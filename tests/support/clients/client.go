// Go's net/http. Started with the door's address, the token in TOKEN.
// Says what came of each task: a name, a tab, the outcome.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"strings"
	"time"
)

var (
	base      = os.Args[1]
	identity  = "Bearer " + os.Getenv("TOKEN")
	big       = bytes.Repeat([]byte("b"), 1<<20)
	transport = &http.Transport{ExpectContinueTimeout: 8 * time.Second, MaxConnsPerHost: 4, MaxIdleConnsPerHost: 4}
	client    = &http.Client{Transport: transport, Timeout: 8 * time.Second}
)

type got struct {
	text      string
	status    int
	length    int64
	reused    bool
	continued bool
	hints     []int
}

func call(method, path string, body io.Reader, change ...func(*http.Request)) (got, error) {
	var it got
	trace := &httptrace.ClientTrace{
		GotConn:        func(info httptrace.GotConnInfo) { it.reused = info.Reused },
		Got100Continue: func() { it.continued = true },
		Got1xxResponse: func(code int, _ textproto.MIMEHeader) error { it.hints = append(it.hints, code); return nil },
	}
	request, err := http.NewRequestWithContext(httptrace.WithClientTrace(context.Background(), trace), method, base+path, body)
	if err != nil {
		return it, err
	}
	request.Header.Set("Authorization", identity)
	for _, each := range change {
		each(request)
	}
	response, err := client.Do(request)
	if err != nil {
		return it, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	it.text, it.status, it.length = string(text), response.StatusCode, response.ContentLength
	return it, err
}

func expecting(request *http.Request) { request.Header.Set("Expect", "100-continue") }

func nobody(request *http.Request) { request.Header.Del("Authorization") }

func refused(it got) string {
	var problem struct{ Code string }
	_ = json.Unmarshal([]byte(it.text), &problem)
	return fmt.Sprint(it.status, " ", problem.Code)
}

func attempt(name string, task func() (string, error)) {
	outcome, err := task()
	if err != nil {
		outcome = "error: " + err.Error()
	}
	fmt.Printf("%s\t%s\n", name, outcome)
}

func together() (string, error) {
	outcomes := make(chan string)
	for n := 0; n < 50; n++ {
		go func(n int) {
			it, err := call("GET", fmt.Sprint("/", n), nil)
			if err == nil && it.text == fmt.Sprintf("GET /%d 0", n) {
				outcomes <- ""
			} else {
				outcomes <- fmt.Sprint(it.text, err)
			}
		}(n)
	}
	for n := 0; n < 50; n++ {
		if outcome := <-outcomes; outcome != "" {
			return outcome, nil
		}
	}
	return "each its own", nil
}

func main() {
	attempt("one after the other", func() (string, error) {
		one, err := call("GET", "/one", nil)
		if err != nil {
			return "", err
		}
		two, err := call("GET", "/two", nil)
		if !two.reused {
			return "on a new connection", err
		}
		return one.text + ", " + two.text, err
	})
	attempt("head", func() (string, error) {
		head, err := call("HEAD", "/head", nil)
		if err != nil {
			return "", err
		}
		next, err := call("GET", "/next", nil)
		return fmt.Sprint(head.status, " ", head.length, ", ", next.text), err
	})
	attempt("upload", func() (string, error) {
		it, err := call("POST", "/up", bytes.NewReader(big))
		return it.text, err
	})
	attempt("stream", func() (string, error) {
		it, err := call("POST", "/stream", io.MultiReader(strings.NewReader("alpha"), strings.NewReader("beta")))
		return it.text, err
	})
	attempt("expect", func() (string, error) {
		it, err := call("PUT", "/expect", bytes.NewReader(big), expecting)
		if !it.continued {
			return "was not told to continue", err
		}
		return it.text, err
	})
	attempt("expect, refused", func() (string, error) {
		it, err := call("PUT", "/expect", bytes.NewReader(big), expecting, nobody)
		if it.continued {
			return "was told to continue", err
		}
		return refused(it), err
	})
	attempt("upload, refused", func() (string, error) {
		it, err := call("POST", "/up", bytes.NewReader(big), nobody)
		return refused(it), err
	})
	attempt("hints", func() (string, error) {
		it, err := call("GET", "/hints", nil)
		return strings.Trim(fmt.Sprint(it.hints), "[]") + " " + it.text, err
	})
	attempt("events", func() (string, error) {
		it, err := call("GET", "/events", nil)
		return strings.ReplaceAll(strings.TrimSpace(it.text), "\n\n", ","), err
	})
	attempt("together", together)
}
