package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

const (
	patience = 30 * time.Second
	writes   = 4096 // bytes that http.Transport gathers before it writes
)

// line is one kept connection. What goes over it is written by net/http, in the parts in which http.Transport, which API
// servers use, writes it: one buffer, then what is left. Transport itself has two more goroutines for each connection
// and takes a third more CPU: what the generator waits for itself would be told for the server's.
type line struct {
	conn    *tls.Conn
	reader  *bufio.Reader
	writer  *bufio.Writer
	request *http.Request
	body    []byte
	uid     []byte // where it is in the body
}

func (c *client) dial(body []byte, at int) (*line, error) {
	made := &line{body: body, uid: body[at : at+uidLength]}
	request, err := http.NewRequest(http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	made.request = request
	return made, made.connect(c.tls, request.URL)
}

func (l *line) connect(config *tls.Config, to *url.URL) error {
	conn, err := tls.Dial("tcp", to.Host, config)
	if err != nil {
		return err
	}
	l.conn, l.reader, l.writer = conn, bufio.NewReader(conn), bufio.NewWriterSize(conn, writes)
	return nil
}

// send sends a review and says whether the answer is right; if it is not, what came. A connection that the server has
// ended meanwhile, since it was idle for so long, is opened anew.
func (c *client) send(l *line) (string, bool) {
	copy(l.uid, fmt.Sprintf("%0*d", uidLength, c.number.Add(1)))
	status, got, err := l.exchange()
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		l.conn.Close()
		if err = l.connect(c.tls, l.request.URL); err == nil {
			status, got, err = l.exchange()
		}
	}
	if err != nil {
		return err.Error(), false
	}
	if status != http.StatusOK || !bytes.Contains(got, c.answer) {
		return fmt.Sprintf("%d %s", status, got[:min(len(got), 600)]), false
	}
	return "", true
}

func (l *line) exchange() (int, []byte, error) {
	if err := l.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return 0, nil, err
	}
	l.request.Body = io.NopCloser(bytes.NewReader(l.body))
	if err := l.request.Write(l.writer); err != nil {
		return 0, nil, err
	}
	if err := l.writer.Flush(); err != nil {
		return 0, nil, err
	}
	response, err := http.ReadResponse(l.reader, l.request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	got, err := io.ReadAll(response.Body)
	return response.StatusCode, got, err
}
