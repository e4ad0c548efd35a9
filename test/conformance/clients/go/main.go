// nats.go against a server: one line for each thing that can be seen, in the same words for every
// server.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sort"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"
)

var ctx = context.Background()

func say(words ...any) {
	for i, w := range words {
		if i > 0 {
			fmt.Print(" ")
		}
		if s, ok := w.(string); ok {
			fmt.Print(s)
			continue
		}
		text, err := json.Marshal(w)
		must(err)
		fmt.Print(string(text))
	}
	fmt.Println()
}

func must(err error) {
	if err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
}

func get[T any](value T, err error) T {
	must(err)
	return value
}

// fails tells how a call failed.
func fails(what string, err error) {
	var api *jetstream.APIError
	switch {
	case err == nil:
		say(what, "worked")
	case errors.As(err, &api):
		say(what, api.Code, api.ErrorCode, api.Description)
	default:
		say(what, err.Error())
	}
}

func drain(batch jetstream.MessageBatch, err error) []jetstream.Msg {
	must(err)
	var all []jetstream.Msg
	for m := range batch.Messages() {
		all = append(all, m)
	}
	return all
}

func describe(m jetstream.Msg) []any {
	d := get(m.Metadata())
	return []any{d.Sequence.Stream, d.Sequence.Consumer, d.NumDelivered, d.NumPending, m.Subject(), string(m.Data())}
}

func streams(js jetstream.JetStream) {
	say("== streams")
	s := get(js.CreateStream(ctx, jetstream.StreamConfig{Name: "A", Subjects: []string{"a.>"}, AllowDirect: true, MaxMsgs: 100}))
	c := s.CachedInfo().Config
	say(c.Name, c.Retention, c.Storage, c.Discard, c.MaxMsgs, c.Duplicates, c.Compression)
	_, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "A", Subjects: []string{"b"}})
	fails("different", err)
	_, err = js.CreateStream(ctx, jetstream.StreamConfig{Name: "B", Subjects: []string{"a.x"}})
	fails("overlap", err)
	_, err = js.Stream(ctx, "NOPE")
	fails("missing", err)
	_, err = js.UpdateStream(ctx, jetstream.StreamConfig{Name: "NOPE"})
	fails("update missing", err)
	c.Metadata = map[string]string{"key": "value"}
	u := get(js.UpdateStream(ctx, c)).CachedInfo()
	say(u.Config.Metadata["key"])
	say(get(js.StreamNameBySubject(ctx, "a.b")))
	names := js.StreamNames(ctx)
	for n := range names.Name() {
		say(n)
	}

	say("== publish")
	for i := 0; i < 4; i++ {
		say(get(js.Publish(ctx, fmt.Sprintf("a.%d", i%2), []byte(fmt.Sprint("m", i)), jetstream.WithMsgID(fmt.Sprint(i)))))
	}
	say(get(js.Publish(ctx, "a.0", nil, jetstream.WithMsgID("0"))))
	_, err = js.Publish(ctx, "a.0", nil, jetstream.WithExpectLastSequence(1))
	fails("sequence", err)
	_, err = js.Publish(ctx, "a.0", nil, jetstream.WithExpectLastSequencePerSubject(1))
	fails("subject sequence", err)
	_, err = js.Publish(ctx, "a.0", nil, jetstream.WithExpectStream("Z"))
	fails("stream", err)
	_, err = js.Publish(ctx, "nobody.there", nil)
	fails("nobody", err)
	for i := 0; i < 10; i++ {
		get(js.PublishAsync("a.async", []byte("x")))
	}
	select {
	case <-js.PublishAsyncComplete():
	case <-time.After(5 * time.Second):
		must(errors.New("no acknowledgements"))
	}
	info := get(s.Info(ctx, jetstream.WithSubjectFilter(">")))
	say(info.State.Msgs, info.State.Subjects)
	m := get(s.GetMsg(ctx, 2))
	say(m.Subject, m.Sequence, string(m.Data), m.Header.Get("Nats-Msg-Id"))
	say(get(s.GetLastMsgForSubject(ctx, "a.0")).Sequence)
	_, err = s.GetMsg(ctx, 99)
	fails("no message", err)
	must(s.DeleteMsg(ctx, 1))
	must(s.Purge(ctx, jetstream.WithPurgeSubject("a.async"), jetstream.WithPurgeKeep(2)))
	say(get(s.Info(ctx, jetstream.WithDeletedDetails(true))).State.Deleted)
}

func consumers(js jetstream.JetStream) {
	say("== consumers")
	s := get(js.CreateStream(ctx, jetstream.StreamConfig{Name: "P", Subjects: []string{"p.*"}}))
	for i := 1; i <= 6; i++ {
		get(js.Publish(ctx, fmt.Sprintf("p.%d", i%2), []byte(fmt.Sprint("m", i))))
	}
	c := get(s.CreateConsumer(ctx, jetstream.ConsumerConfig{Durable: "d", AckPolicy: jetstream.AckExplicitPolicy, AckWait: time.Second, MaxDeliver: 2}))
	info := c.CachedInfo()
	say(info.Name, info.NumPending, info.Config.AckWait, info.Config.MaxAckPending, info.Config.MaxWaiting, info.Config.MaxDeliver)
	batch := drain(c.Fetch(4, jetstream.FetchMaxWait(2*time.Second)))
	for _, m := range batch {
		say(describe(m))
	}
	must(batch[0].DoubleAck(ctx))
	must(batch[1].Nak())
	must(batch[2].TermWithReason("no"))
	must(batch[3].InProgress())
	time.Sleep(300 * time.Millisecond)
	for _, m := range drain(c.FetchNoWait(10)) {
		say(describe(m))
		must(m.DoubleAck(ctx))
	}
	time.Sleep(time.Second)
	for _, m := range drain(c.Fetch(2, jetstream.FetchMaxWait(time.Second))) {
		say(describe(m))
		must(m.DoubleAck(ctx))
	}
	info = get(c.Info(ctx))
	say(info.NumPending, info.NumAckPending, info.AckFloor.Stream, info.Delivered.Consumer)
	_, err := s.CreateConsumer(ctx, jetstream.ConsumerConfig{Durable: "d", AckPolicy: jetstream.AckNonePolicy})
	fails("exists", err)
	_, err = s.UpdateConsumer(ctx, jetstream.ConsumerConfig{Durable: "nope"})
	fails("update missing", err)
	_, err = s.CreateConsumer(ctx, jetstream.ConsumerConfig{FilterSubjects: []string{"p.1", "p.>"}})
	fails("filters", err)
	many := get(s.CreateConsumer(ctx, jetstream.ConsumerConfig{Name: "many", FilterSubjects: []string{"p.0", "p.1"}, AckPolicy: jetstream.AckAllPolicy}))
	seen := []uint64{}
	done := make(chan bool)
	cc := get(many.Consume(func(m jetstream.Msg) {
		d, _ := m.Metadata()
		seen = append(seen, d.Sequence.Stream)
		if d.NumPending == 0 {
			_ = m.DoubleAck(ctx)
			close(done)
		}
	}))
	<-done
	cc.Stop()
	say(seen, get(many.Info(ctx)).AckFloor.Stream)
	o := get(s.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: 3}))
	for _, m := range drain(o.Fetch(4)) {
		say(describe(m)[:2])
	}
	names := []string{}
	for n := range s.ConsumerNames(ctx).Name() {
		if n == "d" || n == "many" {
			names = append(names, n)
		}
	}
	say(names)
	must(s.DeleteConsumer(ctx, "d"))
	fails("delete again", s.DeleteConsumer(ctx, "d"))
	work := get(js.CreateStream(ctx, jetstream.StreamConfig{Name: "W", Subjects: []string{"w.*"}, Retention: jetstream.WorkQueuePolicy}))
	get(work.CreateConsumer(ctx, jetstream.ConsumerConfig{Durable: "one", FilterSubject: "w.1", AckPolicy: jetstream.AckExplicitPolicy}))
	_, err = work.CreateConsumer(ctx, jetstream.ConsumerConfig{Durable: "two", FilterSubject: "w.*", AckPolicy: jetstream.AckExplicitPolicy})
	fails("not unique", err)
	_, err = work.CreateConsumer(ctx, jetstream.ConsumerConfig{Durable: "two", FilterSubject: "w.2", AckPolicy: jetstream.AckNonePolicy})
	fails("needs acknowledgements", err)
}

// push is the interface of before.
func push(nc *nats.Conn) {
	say("== push")
	js := get(nc.JetStream())
	sub := get(js.SubscribeSync("p.1", nats.BindStream("P"), nats.EnableFlowControl(), nats.IdleHeartbeat(time.Second)))
	for i := 0; i < 3; i++ {
		m := get(sub.NextMsg(2 * time.Second))
		d := get(m.Metadata())
		say(d.Sequence.Stream, d.Sequence.Consumer, d.NumPending, string(m.Data))
		must(m.AckSync())
	}
	must(sub.Unsubscribe())
	ordered := get(js.SubscribeSync("p.*", nats.OrderedConsumer()))
	for i := 0; i < 6; i++ {
		fmt.Print(get(get(ordered.NextMsg(2 * time.Second)).Metadata()).Sequence.Stream, " ")
	}
	fmt.Println()
	must(ordered.Unsubscribe())
	queue := get(js.QueueSubscribeSync("p.0", "workers", nats.BindStream("P")))
	say(string(get(queue.NextMsg(2 * time.Second)).Data))
	must(queue.Unsubscribe())
}

func buckets(js jetstream.JetStream) {
	say("== key-value")
	kv := get(js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "b", History: 3}))
	say(get(kv.PutString(ctx, "a", "1")), get(kv.PutString(ctx, "b.c", "2")), get(kv.PutString(ctx, "a", "3")))
	e := get(kv.Get(ctx, "a"))
	say(e.Key(), string(e.Value()), e.Revision(), e.Operation())
	say(string(get(kv.GetRevision(ctx, "a", 1)).Value()))
	_, err := kv.Get(ctx, "nothing")
	fails("missing", err)
	_, err = kv.Create(ctx, "a", nil)
	fails("create", err)
	say(get(kv.Update(ctx, "a", []byte("4"), 3)))
	_, err = kv.Update(ctx, "a", nil, 3)
	fails("update", err)
	w := get(kv.WatchAll(ctx))
	for e := range w.Updates() {
		if e == nil {
			break
		}
		say(e.Key(), string(e.Value()), e.Revision(), e.Delta())
	}
	get(kv.PutString(ctx, "live", "now"))
	e = <-w.Updates()
	say(e.Key(), e.Revision())
	must(w.Stop())
	must(kv.Delete(ctx, "b.c"))
	say(get(kv.Create(ctx, "b.c", []byte("again"))))
	keys := get(kv.Keys(ctx))
	sort.Strings(keys)
	say(keys)
	for _, e := range get(kv.History(ctx, "a")) {
		say(e.Revision(), e.Operation().String())
	}
	must(kv.Purge(ctx, "a"))
	for _, e := range get(kv.History(ctx, "a")) {
		say(e.Revision(), e.Operation().String())
	}
	status := get(kv.Status(ctx))
	say(status.Bucket(), status.Values(), status.History())
	must(js.DeleteKeyValue(ctx, "b"))

	say("== object store")
	os := get(js.CreateObjectStore(ctx, jetstream.ObjectStoreConfig{Bucket: "o"}))
	data := make([]byte, 300000)
	for i := range data {
		data[i] = byte(i * 7)
	}
	info := get(os.PutBytes(ctx, "blob", data))
	say(info.Name, info.Size, info.Chunks, info.Digest)
	say(bytes.Equal(get(os.GetBytes(ctx, "blob")), data))
	get(os.PutString(ctx, "small", "hello"))
	list := get(os.List(ctx))
	sort.Slice(list, func(i, j int) bool { return list[i].Name < list[j].Name })
	for _, i := range list {
		say(i.Name, i.Size)
	}
	must(os.Delete(ctx, "small"))
	_, err = os.GetBytes(ctx, "small")
	fails("deleted", err)
	must(os.Seal(ctx))
	_, err = os.PutString(ctx, "no", "x")
	fails("sealed", err)
	must(js.DeleteObjectStore(ctx, "o"))
}

func service(nc *nats.Conn) {
	say("== service")
	svc := get(micro.AddService(nc, micro.Config{Name: "calc", Version: "1.0.0", Description: "adds"}))
	must(svc.AddEndpoint("add", micro.HandlerFunc(func(r micro.Request) {
		var numbers []int
		if json.Unmarshal(r.Data(), &numbers) != nil {
			_ = r.Error("400", "nothing to add", nil)
			return
		}
		sum := 0
		for _, n := range numbers {
			sum += n
		}
		_ = r.Respond([]byte(fmt.Sprint(sum)))
	})))
	say(string(get(nc.Request("add", []byte("[1,2,3]"), time.Second)).Data))
	say(get(nc.Request("add", nil, time.Second)).Header.Get(micro.ErrorCodeHeader))
	for _, verb := range []string{"PING", "INFO", "STATS"} {
		var answer struct {
			Type, Name, Version string
			Endpoints           []struct{ Name, Subject string }
		}
		must(json.Unmarshal(get(nc.Request("$SRV."+verb+".calc", nil, time.Second)).Data, &answer))
		say(answer)
	}
	must(svc.Stop())
}

func main() {
	nc := get(nats.Connect(os.Args[1]))
	js := get(jetstream.New(nc))
	streams(js)
	consumers(js)
	push(nc)
	buckets(js)
	service(nc)
	say("== end")
	for _, name := range []string{"A", "P", "W"} {
		must(js.DeleteStream(ctx, name))
	}
	fails("delete again", js.DeleteStream(ctx, "A"))
	nc.Close()
}
